"""Share of real tiles that are called bad, as they are and after they were spoilt on purpose.

    python benchmarks/quality.py [--tiles 60] [--worst FOLDER]

Spoilt: blurred by a Gaussian (sigma in pixels of 0.25 µm), also with noise and JPEG after it; drawn
on with markers, opaque and transparent (Beer-Lambert), over two fifths of the tile; a band of 60 µm
whose optical density is multiplied. In brackets the share called bad for any reason. `--worst`
writes the unspoilt tiles that are called bad.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
from data import data_folder
from numpy.typing import NDArray
from tiny import parsed

from regdata.cellvit.tiles.quality import QualityLimits, tile_quality
from regdata.slides.open import open_slide

Image = NDArray[np.uint8]
Spoil = Callable[[Image, np.random.Generator], Image]
SETS = {
    "CoNSeP": ("consep/*/images/*", 0.25),
    "TNBC": ("tnbc/images/*", 0.25),
    "NuInsSeg": ("nuinsseg/images/*", 0.25),
    "NuCLS": ("nucls_example/*/images/*", 0.25),
    "restained colon": ("pairs/smujiang_restained/he.png", 0.25),
    "ORION": ("pairs/orion_crypts/he.png", 0.42),
    "DSB 2018 (mixed pixel sizes)": ("dsb2018_brightfield/images/*", 0.25),
}
SLIDES = {"CMU-1": "slides/small_HE.svs"}
INKS = {"blue": (40, 60, 170), "green": (20, 130, 70), "red": (215, 30, 40), "black": (25, 25, 30)}


def density(rgb: Image) -> NDArray[np.float32]:
    """Optical density."""
    return -np.log((rgb.astype(np.float32) + 1) / 256)


def band(rgb: Image, rng: np.random.Generator, width: float) -> NDArray[np.float32]:
    """(H, W, 1) 0 to 1: a wavy band through the tile, soft at its edges."""
    height, length = rgb.shape[:2]
    y, x = np.mgrid[:height, :length].astype(np.float32)
    angle = rng.uniform(0, np.pi)
    middle = rng.uniform(0.35, 0.65, 2) * (length, height)
    across = (x - middle[0]) * np.cos(angle) + (y - middle[1]) * np.sin(angle)
    across += 6 * np.sin((y * np.cos(angle) - x * np.sin(angle)) / 60)
    return (1 / (1 + np.exp((np.abs(across) - width / 2) / 4)))[..., None].astype(np.float32)


def to_image(optical_density: NDArray[np.float32]) -> Image:
    """Back to 8 bits."""
    return np.clip(256 * np.exp(-optical_density) - 1, 0, 255).astype(np.uint8)


def blurred(sigma: float, noise: float = 0.0) -> Spoil:
    """Out of focus; noise and JPEG quality 80 come after the lens."""

    def spoil(rgb: Image, rng: np.random.Generator) -> Image:
        soft = np.asarray(cv2.GaussianBlur(rgb, (0, 0), sigma))
        if noise == 0:
            return soft
        noisy = np.clip(soft + rng.normal(0, noise, soft.shape), 0, 255).astype(np.uint8)
        coded = cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, 80])[1]
        return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)

    return spoil


def drawn_on(ink: str, strength: float) -> Spoil:
    """A marker: its optical density, times `strength`, is added to that of the tile."""

    def spoil(rgb: Image, rng: np.random.Generator) -> Image:
        colour = density(np.array(INKS[ink], np.uint8)) * strength
        stroke = band(rgb, rng, 0.4 * min(rgb.shape[:2]))
        return to_image(density(rgb) + stroke * colour)

    return spoil


def folded(factor: float) -> Spoil:
    """A second layer of tissue: a band of 60 µm, or a quarter of a smaller tile."""

    def spoil(rgb: Image, rng: np.random.Generator) -> Image:
        width = min(60 / 0.25, min(rgb.shape[:2]) / 4)
        return to_image(density(rgb) * (1 + (factor - 1) * band(rgb, rng, width)))

    return spoil


SPOILT: dict[str, tuple[str, Spoil]] = {
    "blur 2 px": ("blurred", blurred(2)),
    "blur 3 px": ("blurred", blurred(3)),
    "blur 3 px, noise": ("blurred", blurred(3, 1.5)),
    "blur 5 px": ("blurred", blurred(5)),
    "blur 10 px": ("blurred", blurred(10)),
    "blur 20 px, noise": ("blurred", blurred(20, 1.5)),
    **{f"{ink}, opaque": ("pen", drawn_on(ink, 1.0)) for ink in INKS},
    **{f"{ink}, half": ("pen", drawn_on(ink, 0.5)) for ink in INKS},
    **{f"fold x{factor:g}": ("fold", folded(factor)) for factor in (2.0, 2.25, 2.5)},
}


def sources() -> tuple[str, ...]:
    """Those that the data folder has."""
    patterns = {name: pattern for name, (pattern, _) in SETS.items()} | SLIDES
    return tuple(name for name in patterns if any(data_folder().glob(patterns[name])))


def tiles(name: str, count: int) -> Iterator[tuple[str, Image, float]]:
    """Up to `count` tiles of one source, drawn at random."""
    rng = np.random.default_rng(0)
    if name in SLIDES:
        slide = open_slide(data_folder() / SLIDES[name])
        mpp = slide.known_mpp("he_mpp")
        w, h = slide.size
        corners = [(x, y) for y in range(0, h - 999, 500) for x in range(0, w - 999, 500)]
        for i in rng.permutation(len(corners))[:count]:
            yield f"{corners[i]}", slide.read_rgb(corners[i], (1000, 1000)), mpp
        return
    pattern, mpp = SETS[name]
    paths = sorted(data_folder().glob(pattern))
    for i in rng.permutation(len(paths))[:count]:
        yield paths[i].stem, cv2.imread(str(paths[i]), cv2.IMREAD_COLOR)[..., ::-1].copy(), mpp


def main() -> None:
    """Print two tables: real tiles by source, spoilt tiles by what was done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiles", type=int, default=60)
    parser.add_argument("--worst", type=Path)
    arguments = parsed(parser, tiles=1)
    limits = QualityLimits()
    print("| source | tiles | blurred | fold | pen | focus 1 % | median |")
    print("|---|---|---|---|---|---|---|")
    for name in sources():
        found = []
        for stem, rgb, mpp in tiles(name, 10_000):
            quality = tile_quality(rgb, mpp)
            reason = limits.is_bad(quality)
            found.append((reason, quality.focus))
            if reason and arguments.worst:
                arguments.worst.mkdir(parents=True, exist_ok=True)
                title = f"{name} {stem} {reason} {quality.focus:.2f} {quality.fold:.2f}.png"
                cv2.imwrite(str(arguments.worst / title), rgb[..., ::-1])
        shares = " | ".join(
            f"{np.mean([reason == kind for reason, _ in found]):.1%}"
            for kind in ("blurred", "fold", "pen")
        )
        low, middle = np.percentile([focus for _, focus in found], (1, 50))
        print(f"| {name} | {len(found)} | {shares} | {low:.2f} | {middle:.2f} |")
    spoilt = [name for name in ("CoNSeP", "TNBC", "NuInsSeg", "CMU-1") if name in sources()]
    print(f"\n| spoilt | called | {' | '.join(spoilt)} |\n|---|---|{'---|' * len(spoilt)}")
    chosen = {name: list(tiles(name, arguments.tiles)) for name in spoilt}
    for title, (expected, spoil) in SPOILT.items():
        row = []
        for name in spoilt:
            rng = np.random.default_rng(1)
            reasons = [
                limits.is_bad(tile_quality(spoil(rgb, rng), mpp)) for _, rgb, mpp in chosen[name]
            ]
            bad, right = (np.mean([r is not None for r in reasons]), reasons.count(expected))
            row.append(f"{right / len(reasons):.0%} ({bad:.0%})")
        print(f"| {title} | {expected} | {' | '.join(row)} |")
    rgb = np.asarray(cv2.resize(chosen["CoNSeP"][0][1], (1024, 1024)), np.uint8)
    start = time.process_time()
    for _ in range(20):
        tile_quality(rgb, 0.25)
    print(
        f"\n{(time.process_time() - start) / 20 * 1e3:.1f} CPU-ms for a tile of 1024 px, 0.25 µm/px"
    )


if __name__ == "__main__":
    main()
