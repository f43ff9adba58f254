"""How a section is restained and photographed."""

from dataclasses import dataclass

AUTOFLUORESCENCE_EXPOSURE = 0.5
"""Exposure of the autofluorescence channel over that of the marker."""


@dataclass(frozen=True, kw_only=True)
class RestainSettings:
    """How the section is restained and photographed.

    Attributes
    ----------
    marker
        Name of the marker channel.
    if_mpp
        µm per pixel of the IF.
    rotation_deg, mirror, scale
        Similarity from H&E to IF: mirrored left to right first, then turned from x to y.
    shift_um
        Extra room left of and above the tissue, (x, y) >= 0.
    elastic_um, wavelength_um
        Root mean square and wavelength of the elastic displacement.
    psf_um
        Blur of the microscope, standard deviation.
    gain_spread
        Standard deviation of log brightness between nuclei.
    autofluorescence, haze, spill, background
        Light that is no nucleus, as shares of a typical nucleus: matrix at eosin density 1,
        out-of-focus light, marker in the cytoplasm, everywhere.
    vignetting
        Loss of light in the corner of a camera field.
    dropout
        Share of positive nuclei that stay unstained.
    lost
        Share of all nuclei that are washed away.
    deep
        Share of nuclei out of focus.
    photons
        Photons per pixel from a typical nucleus: sets the shot noise.
    read_noise
        Standard deviation of the camera's noise, photons.
    bit_depth
        Bits of the camera; a typical nucleus lies at an eighth of full scale.
    autofluorescence_gradient
        Autofluorescence at the right end of the H&E over that at its left end; in the middle it
        is as without.
    drift
        Exposure of the marker at the top of the H&E over that at its bottom: what it shows, light
        of the background included, fades on the way.
    autofluorescence_channel
        Whether a channel "AF" that shows autofluorescence only is photographed as well, at
        `AUTOFLUORESCENCE_EXPOSURE` of the marker's exposure and with the camera's noise.
    folds
        Number of strips where the section lies double: the light of tissue beside them is added.
    blurred
        Share of the IF's area that is out of focus, by 3 µm, in patches of 256 µm or of a
        quarter of a small section.
    hot
        Share of camera pixels that are far too bright, in each channel.
    saturate
        Factor on what the camera counts; above 8 a typical nucleus is clipped at full scale.
    """

    marker: str = "CD3"
    if_mpp: float = 0.325
    rotation_deg: float = 7.0
    mirror: bool = False
    scale: float = 1.0
    shift_um: tuple[float, float] = (0.0, 0.0)
    elastic_um: float = 1.2
    wavelength_um: float = 500.0
    psf_um: float = 0.35
    gain_spread: float = 0.3
    autofluorescence: float = 0.10
    haze: float = 0.12
    spill: float = 0.25
    background: float = 0.03
    vignetting: float = 0.12
    dropout: float = 0.10
    lost: float = 0.01
    deep: float = 0.15
    photons: float = 350.0
    read_noise: float = 3.0
    bit_depth: int = 16
    autofluorescence_gradient: float = 1.0
    drift: float = 1.0
    autofluorescence_channel: bool = False
    folds: int = 0
    blurred: float = 0.0
    hot: float = 0.0
    saturate: float = 1.0
