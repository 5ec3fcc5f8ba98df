"""Which photographs the store keeps."""

from PIL import Image

from lesion.inference.photograph_store import PhotographStore


class Backbone:
    """Notes the colour of every photograph that it is run on."""

    def __init__(self):
        self.seen = []

    def features(self, image, metadata=None):
        self.seen.append(image.getpixel((0, 0))[0])


def test_the_one_that_was_not_used_for_longest_goes(tmp_path):
    backbone = Backbone()
    store = PhotographStore(backbone, capacity=2)
    paths = {shade: tmp_path / f"{shade}.png" for shade in (10, 20, 30)}
    for shade, path in paths.items():
        Image.new("RGB", (40, 30), (shade, 0, 0)).save(path)

    def runs(*shades: int) -> list[int]:
        """For which of the photographs, asked for in this order, the backbone runs."""
        backbone.seen.clear()
        for shade in shades:
            store.get(paths[shade])
        return backbone.seen

    assert runs(10, 20, 10) == [10, 20]
    assert runs(30, 30, 10) == [30], "the newest stays, and the one in use"
    assert runs(20) == [20]
    assert runs(30) == [30], "it was the oldest when 20 came back"
