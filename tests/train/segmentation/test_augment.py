import numpy as np
import pytest
from pydantic import ValidationError

from regdata.train.segmentation.augment import AugmentConfig, augment, vary_optics, vary_stain
from regdata.train.segmentation.crops import Sample

PROBABILITIES = [name for name in AugmentConfig.model_fields if name.endswith("_p")]


def sample(side: int = 96) -> Sample:
    rng = np.random.default_rng(5)
    instances = np.zeros((side, side), np.int32)
    instances[20:50, 60:80] = 7
    image = rng.integers(60, 220, (side, side, 3)).astype(np.uint8)
    image[instances == 7] = rng.integers(20, 90, (600, 3))
    return Sample(image, instances, (instances > 0).astype(np.uint8))


def only(name: str) -> AugmentConfig:
    return AugmentConfig.none().model_copy(update={name: 1.0})


def test_none_only_cuts() -> None:
    whole = sample()
    same = augment(whole, 96, np.random.default_rng(0), AugmentConfig.none())
    assert np.array_equal(same.image, whole.image)
    assert np.array_equal(same.instances, whole.instances)


@pytest.mark.parametrize("name", PROBABILITIES)
def test_each_probability_switches_its_variation(name: str) -> None:
    whole, geometry = sample(), name in ("scale_p", "turn_p", "mirror_p", "flip_p", "elastic_p")
    crops = [augment(whole, 96, np.random.default_rng(seed), only(name)) for seed in range(6)]
    assert any(not np.array_equal(crop.image, whole.image) for crop in crops)
    moved = any(not np.array_equal(crop.types, whole.types) for crop in crops)
    assert moved == geometry
    for crop in crops:
        assert (crop.image.dtype, crop.image.shape) == (np.uint8, (96, 96, 3))
        assert ((crop.types == 1) == (crop.instances > 0)).all()


@pytest.mark.parametrize("config", [AugmentConfig.ours(), AugmentConfig.cellvit()])
def test_the_generator_alone_decides(config: AugmentConfig) -> None:
    crops = [augment(sample(), 64, np.random.default_rng(seed), config) for seed in (1, 1, 2)]
    assert np.array_equal(crops[0].image, crops[1].image)
    assert np.array_equal(crops[0].instances, crops[1].instances)
    assert not np.array_equal(crops[0].image, crops[2].image)


def test_published_probabilities() -> None:
    published = {
        name: value for name, value in AugmentConfig.cellvit().model_dump().items() if value
    }
    assert {name: published[name] for name in PROBABILITIES if name in published} == {
        "turn_p": 0.5,
        "mirror_p": 0.5,
        "flip_p": 0.5,
        "coarse_p": 0.15,
        "blur_p": 0.2,
        "noise_p": 0.25,
        "colour_p": 0.2,
        "superpixel_p": 0.1,
        "zoom_blur_p": 0.1,
        "scale_p": 0.1,
        "elastic_p": 0.2,
    }
    AugmentConfig.model_validate(published)


@pytest.mark.parametrize(
    "wrong",
    [{"blur_p": 1.2}, {"scale": (1.4, 0.7)}, {"scale": (0, 1)}, {"blur_sigm": (1, 2)}],
)
def test_settings_that_make_no_sense(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        AugmentConfig.model_validate(wrong)


@pytest.mark.parametrize(
    ("of_stain", "of_optics"), [("hed_p", "jpeg_p"), ("density_p", "sharpen_p")]
)
def test_probabilities_are_kept(of_stain: str, of_optics: str) -> None:
    image = sample().image
    rng = np.random.default_rng(0)
    stain = AugmentConfig.none().model_copy(update={of_stain: 0.3})
    optics = AugmentConfig.none().model_copy(update={of_optics: 0.3})
    changed = [
        (not np.array_equal(image, vary_stain(image, rng, stain)))
        + 1j * (not np.array_equal(image, vary_optics(image, rng, optics)))
        for _ in range(300)
    ]
    assert np.mean(changed).real == pytest.approx(0.3, abs=0.09)
    assert np.mean(changed).imag == pytest.approx(0.3, abs=0.09)
