from dataclasses import replace

import numpy as np
import pytest
from simulated import SimulatedPair

from regdata.registration.nuclear_channel import (
    better_channel,
    likeness_of_channels,
    registrable_channel,
)
from regdata.registration.registration import fit_affine
from regdata.slides.open import open_slide
from regdata.slides.slide import Slide
from regdata.transforms.transform import Transform

Slides = tuple[Slide, Slide, Transform]


@pytest.fixture(scope="module")
def slides(pair: SimulatedPair) -> Slides:
    he, if_ = open_slide(pair.he), open_slide(pair.if_)
    return he, if_, Transform.affine(fit_affine(he, if_, 0).matrix)


def test_the_nuclear_stain_is_most_like_the_nuclei(slides: Slides) -> None:
    he, if_, he_to_if = slides
    dapi, marker = likeness_of_channels(he, if_, (0, 1), he_to_if)
    assert dapi > 0.4
    assert marker < dapi - 0.1
    assert better_channel(he, if_, 0, (1,), he_to_if) is None
    assert better_channel(he, if_, 1, (0, 1), he_to_if) == 0


def test_a_constant_channel_is_not_nuclear(slides: Slides) -> None:
    he, if_, he_to_if = slides
    real = if_.pixels

    def dark(level, box, channels):  # type: ignore[no-untyped-def]
        out = real(level, box, channels).copy()
        out[[k for k, c in enumerate(channels) if c == 1]] = 7
        return out

    half = replace(if_, pixels=dark)
    assert likeness_of_channels(he, half, (1, 0), he_to_if)[0] == 0


def test_the_channel_that_registers_is_found(slides: Slides) -> None:
    he, if_, _ = slides
    noise = np.random.default_rng(0).normal(1000, 50, if_.size[::-1]).astype(np.float32)

    def pixels(level, box, channels):  # type: ignore[no-untyped-def]
        return np.stack([noise[box.y : box.y + box.h, box.x : box.x + box.w]] * len(channels))

    noisy = replace(if_, sizes=if_.sizes[:1], dtype=np.dtype(np.float32), pixels=pixels)
    assert registrable_channel(he, noisy, (1,)) is None
    assert registrable_channel(he, if_, (0,)) == 0
