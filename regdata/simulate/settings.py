"""How a section is restained and photographed."""

from dataclasses import dataclass


@dataclass(frozen=True)
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
