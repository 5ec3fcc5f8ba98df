"""What `from lesion import …` gives, and what it costs."""

import subprocess
import sys

import pytest

import lesion
from conftest import ROOT


def test_the_names_that_a_notebook_imports():
    from lesion import Cohort, Influence, Metadata, load_predictor, read_image

    assert all(map(callable, (Cohort, Influence, Metadata, load_predictor, read_image)))
    with pytest.raises(AttributeError, match="no attribute 'predict_everything'"):
        lesion.predict_everything  # noqa: B018


def test_importing_the_package_loads_no_torch():
    """Else the number of threads is set too late, and commands that need no network wait for it."""
    program = "import sys, lesion; from lesion import Metadata; print('torch' in sys.modules, 'timm' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
