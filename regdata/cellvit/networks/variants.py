"""The published CellViT networks: what each one is, and its config from a file's own shapes."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from regdata.cellvit.networks.config import CellViTConfig, Decoder, Encoder, SamEncoder, VitEncoder
from regdata.errors import RegdataError

Shapes = Mapping[str, tuple[int, ...]]
"""Published entry names and their shapes."""
Settings = Mapping[str, object]
"""The training settings that a published file carries, flat, "." between the levels."""

CELLVIT = "Hörst et al., CellViT (2024) and CellViT++ (2025)"
CELLVIT_TERMS = "Apache-2.0 + Commons Clause, citation required"


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One row of the table of networks that can be loaded.

    Attributes
    ----------
    name
        As in the config's `name`.
    arch
        The class name that published files carry; None where they carry none.
    parameters
        With 6 nucleus and 19 tissue classes (HistoPLUS: 15 and none).
    """

    name: str
    arch: str | None
    encoder: str
    parameters: int
    patch: int
    mpp: str
    token_width: int
    licence: str
    source: str


def _cellvit(name: str, arch: str, encoder: str, sizes: tuple[int, int, int]) -> Variant:
    parameters, patch, width = sizes
    mpp = "0.25 (x20 files: 0.5)"
    return Variant(
        name=name,
        arch=arch,
        encoder=encoder,
        parameters=parameters,
        patch=patch,
        mpp=mpp,
        token_width=width,
        licence=CELLVIT_TERMS,
        source=CELLVIT,
    )


def _histoplus(name: str, parameters: int, mpp: str) -> Variant:
    return Variant(
        name=name,
        arch=None,
        encoder="H0-mini ViT-B/14",
        parameters=parameters,
        patch=14,
        mpp=mpp,
        token_width=768,
        licence="CC BY-NC-ND 4.0, weights gated",
        source="Adjadj et al., HistoPLUS (2025)",
    )


PUBLISHED = (
    _cellvit("CellViT-256", "CellViT256", "HIPT ViT-S/16", (46_750_349, 16, 384)),
    _cellvit("CellViT-SAM-B", "CellViTSAM", "SAM ViT-B/16", (146_094_557, 16, 768)),
    _cellvit("CellViT-SAM-L", "CellViTSAM", "SAM ViT-L/16", (367_847_645, 16, 1024)),
    _cellvit("CellViT-SAM-H", "CellViTSAM", "SAM ViT-H/16", (699_741_149, 16, 1280)),
    _cellvit("CellViT-UNI", "CellViTUNI", "UNI ViT-L/16", (362_934_749, 16, 1024)),
    _cellvit("CellViT-Virchow", "CellViTVirchow", "Virchow ViT-H/14", (693_963_741, 14, 1280)),
    _cellvit("CellViT-Virchow2", "CellViTVirchow2", "Virchow2 ViT-H/14", (693_973_981, 14, 1280)),
    _histoplus("HistoPLUS-40x", 142_747_155, "0.25"),
    _histoplus("HistoPLUS-20x", 142_157_331, "0.5"),
)

PANNUKE = ("Background", "Neoplastic", "Inflammatory", "Connective", "Dead", "Epithelial")
_HISTOPLUS_CLASSES = (
    "Background",
    "Cancer cell",
    "Lymphocytes",
    "Fibroblasts",
    "Plasmocytes",
    "Eosinophils",
    "Neutrophils",
    "Macrophages",
    "Muscle Cell",
    "Endothelial Cell",
    "Red blood cell",
    "Epithelial",
    "Apoptotic Body",
    "Mitotic Figures",
    "Minor Stromal Cell",
)
_H0_MEAN, _H0_STD = (0.707223, 0.578729, 0.703617), (0.211883, 0.230117, 0.177517)
TAPS = {12: (3, 6, 9, 12), 24: (6, 12, 18, 24), 32: (8, 16, 24, 32)}


def published_decoder(token_width: int) -> Decoder:
    """The decoder of all published networks."""
    if token_width < 512:
        first, second, bottom = 256, 128, 312
    else:
        first, second, bottom = 512, 256, 512
    return Decoder(
        image=(32, 64),
        skips=((first, second, 128), (first, 256), (bottom,)),
        branch=(bottom, 256, 128, 64),
        depths=(3, 2, 2),
    )


def terms(config: CellViTConfig) -> str | None:
    """Licence and citation to observe with a published network's weights; None for our own."""
    if config.name.startswith("CellViT-"):
        return f"{config.name}: weights under {CELLVIT_TERMS}; cite {CELLVIT}"
    known = {variant.name: variant for variant in PUBLISHED}.get(config.name)
    if known is None:
        return None
    return f"{config.name}: weights under {known.licence}; cite {known.source}"


def cellvit_config(shapes: Shapes, settings: Settings, arch: str | None) -> CellViTConfig:
    """The config of a CellViT file from its entries' shapes and its training settings.

    Raises
    ------
    RegdataError
        The entries are of no published network, or `arch` says another one.
    """
    name, encoder = _encoder(shapes, settings)
    expected = {variant.name: variant.arch for variant in PUBLISHED}.get(name, "CellViT")
    if arch is not None and arch != expected:
        raise RegdataError(f"says it is a {arch}, but its weights are those of {name} ({expected})")
    binary = shapes["nuclei_binary_map_decoder.decoder0_header.2.weight"][0]
    head = shapes.get("classifier_head.weight") or shapes.get("encoder.head.weight") or (0,)
    coarse = str(settings.get("data.magnification", 40)) == "20"
    return CellViTConfig(
        name=f"{name}-x20" if coarse else name,
        mpp=0.5 if coarse else 0.25,
        classes=_classes(shapes["nuclei_type_maps_decoder.decoder0_header.2.weight"][0], settings),
        tissues=head[0],
        regression=binary == 4,
        encoder=encoder,
        decoder=published_decoder(encoder.width),
        mean=_three(settings, "transformations.normalize.mean"),
        std=_three(settings, "transformations.normalize.std"),
        pooling="box",
    )


def histoplus_config(shapes: Shapes) -> CellViTConfig:
    """The config of a HistoPLUS file from its entries' shapes, under our names."""
    patches = shapes["encoder.pos_embed"][1]
    image = 14 * math.isqrt(patches)
    fine = image >= 448
    encoder = VitEncoder(
        width=768,
        depth=12,
        heads=12,
        patch=14,
        image=image,
        taps=(4, 6, 8, 12),
        mlp="swiglu",
        mlp_ratio=4096 / 768,
        layer_scale=True,
        registers=4,
        positions_of_prefix=False,
        final_norm="absent",
    )
    return CellViTConfig(
        name="HistoPLUS-40x" if fine else "HistoPLUS-20x",
        mpp=0.25 if fine else 0.5,
        classes=_HISTOPLUS_CLASSES,
        encoder=encoder,
        decoder=published_decoder(768),
        mean=_H0_MEAN,
        std=_H0_STD,
        tile=784,
        pooling="box",
    )


def _encoder(shapes: Shapes, settings: Settings) -> tuple[str, Encoder]:
    """Name of the network and its encoder."""
    width, _, patch, _ = shapes["encoder.patch_embed.proj.weight"]
    depth = 1 + max(int(m[1]) for n in shapes if (m := re.match(r"encoder\.blocks\.(\d+)\.", n)))
    if "encoder.neck.0.weight" in shapes:
        heads, letter = {768: (12, "B"), 1024: (16, "L"), 1280: (16, "H")}.get(width, (0, "?"))
        _require(heads > 0 and depth in TAPS, f"a SAM encoder of width {width}, depth {depth}")
        return f"CellViT-SAM-{letter}", SamEncoder(
            width=width, depth=depth, heads=heads, taps=TAPS[depth]
        )
    registers = shapes.get("encoder.reg_token", (1, 0))[1]
    side = math.isqrt(shapes["encoder.pos_embed"][1] - 1 - registers)
    image = side * patch
    if "encoder.blocks.0.ls1.gamma" in shapes:
        _require(depth in TAPS, f"a ViT of depth {depth} with layer scale")
        vit = VitEncoder(
            width=width,
            depth=depth,
            heads=16,
            patch=patch,
            image=image,
            taps=TAPS[depth],
            layer_scale=True,
        )
        if patch == 16:
            return "CellViT-UNI", vit
        gated = {"mlp": "geglu", "mlp_ratio": 5.3375, "registers": registers}
        name = "CellViT-Virchow2" if registers else "CellViT-Virchow"
        return name, vit.model_copy(update={**gated, "whole_patches": True})
    heads, taps = _generic(width, depth, settings)
    name = "CellViT-256" if (width, depth) == (384, 12) else "CellViT-generic"
    return name, VitEncoder(
        width=width,
        depth=depth,
        heads=heads,
        patch=patch,
        image=image,
        taps=taps,
        mlp_ratio=shapes["encoder.blocks.0.mlp.fc1.weight"][0] / width,
        resampling="dino",
        final_norm="applied",
    )


def _generic(width: int, depth: int, settings: Settings) -> tuple[int, tuple[int, int, int, int]]:
    """Heads and taps of a plain ViT, which no shape tells."""
    if (width, depth) == (384, 12):
        return 6, TAPS[12]
    heads, taps = settings.get("model.num_heads"), settings.get("model.extract_layers")
    _require(
        isinstance(heads, int) and isinstance(taps, list | tuple) and len(taps) == 4,
        f"a plain ViT of width {width}, depth {depth} whose settings lack model.num_heads or the "
        "four model.extract_layers",
    )
    first, second, third, last = (int(tap) for tap in taps)  # type: ignore[attr-defined]
    return int(heads), (first, second, third, last)  # type: ignore[call-overload]


def _require(fits: bool, content: str) -> None:
    if not fits:
        raise RegdataError(f"holds {content}, which is no published CellViT")


def _classes(count: int, settings: Settings) -> tuple[str, ...]:
    """Names of the nucleus classes: those of the settings, PanNuke's, or numbers."""
    prefix = "dataset_config.nuclei_types."
    named = {
        int(str(v)): k.removeprefix(prefix) for k, v in settings.items() if k.startswith(prefix)
    }
    if sorted(named) == list(range(count)):
        return tuple(named[i] for i in range(count))
    if count == len(PANNUKE):
        return PANNUKE
    return ("Background", *(f"class {i}" for i in range(1, count)))


def _three(settings: Settings, name: str) -> tuple[float, float, float]:
    """Mean or standard deviation of the normalisation; 0.5 as in all published settings."""
    value = settings.get(name, (0.5, 0.5, 0.5))
    if not isinstance(value, list | tuple) or len(value) != 3:
        raise RegdataError(f"gives {value} as {name}; expected three numbers")
    red, green, blue = (float(v) for v in value)
    return red, green, blue
