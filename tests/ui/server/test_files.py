"""Files that the server hands out."""

import threading

from lesion.ui.server.files import keep_content


def test_a_file_that_somebody_reads_is_not_written_again(tmp_path):
    """A class asks for the same handout at once: a download that has begun gets every byte."""
    content = b"x" * 1_000_000
    path = keep_content(tmp_path, content, "handout.pdf")
    with open(path, "rb") as download:
        begun = download.read(10)
        before = path.stat()
        assert keep_content(tmp_path, content, "handout.pdf") == path
        assert begun + download.read() == content
    after = path.stat()
    assert after.st_ino == before.st_ino and after.st_ctime_ns > before.st_ctime_ns, "found, and counted as used"


def test_whoever_finds_a_file_finds_it_whole(tmp_path):
    content, seen = b"y" * 3_000_000, []

    def ask() -> None:
        seen.append(keep_content(tmp_path, content, "sweep.csv").read_bytes() == content)

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [True] * 16
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["sweep.csv"], "nothing is left beside it"


def test_another_content_is_another_file(tmp_path):
    first, second = (keep_content(tmp_path, content, "a.csv") for content in (b"1", b"2"))
    assert first != second and first.read_bytes() == b"1" and second.read_bytes() == b"2"
