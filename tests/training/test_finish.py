"""What is fitted to a trained network's answers."""

from types import SimpleNamespace

import numpy as np
from scipy.special import log_softmax

from lesion.model.calibration import SUBSETS
from lesion.training.finish import calibrate


def test_each_subset_of_the_inputs_gets_the_temperature_of_its_own_answers():
    """Sixteen heads that are too sure by factors of their own, on records that know everything."""
    generator, rows = np.random.default_rng(0), 3000
    truth = log_softmax(generator.normal(size=(rows, 7)) * 2, axis=1)
    labels = np.array([generator.choice(7, p=np.exp(row)) for row in truth])
    data = SimpleNamespace(
        labels=labels, known=np.ones((rows, 3), bool), split=SimpleNamespace(validation=np.arange(rows)),
        weights=np.full(7, 1.0), prevalence=np.full(7, 1 / 7),
    )  # fmt: skip
    temperatures = np.linspace(0.5, 2.5, len(SUBSETS))
    fitted = calibrate(truth * temperatures[:, None, None], data)
    np.testing.assert_allclose(fitted.temperatures, temperatures, rtol=0.06)
