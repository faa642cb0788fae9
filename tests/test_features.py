import keras
import numpy as np
import pytest

from relumen import features
from relumen.errors import UserError


def test_vgg19_gives_block_3_before_its_activation_from_a_local_file(tmp_path):
    keras.utils.set_random_seed(0)
    whole = keras.applications.VGG19(include_top=False, weights=None, input_shape=(None, None, 3))
    whole.save_weights(tmp_path / "vgg.weights.h5")
    x = np.random.default_rng(0).normal(size=(1, 16, 24, 1)).astype(np.float32)
    ours = np.asarray(features.vgg19(str(tmp_path / "vgg.weights.h5"))(x))
    assert ours.shape == (1, 4, 6, 256)
    assert (ours < 0).any()
    grey = np.repeat((x + 2) * 255 / 8, 3, -1)
    official = keras.applications.vgg19.preprocess_input(grey.copy())
    block = keras.Model(whole.input, whole.get_layer("block3_conv4").output)
    np.testing.assert_allclose(np.maximum(ours, 0), np.asarray(block(official)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("weights", ["gone.h5", "broken.weights.h5"])
def test_weights_that_cannot_be_had_name_the_offline_choice(tmp_path, weights):
    (tmp_path / "broken.weights.h5").write_text("no weights")
    with pytest.raises(UserError, match="features=none"):
        features.vgg19(str(tmp_path / weights))
