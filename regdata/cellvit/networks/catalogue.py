"""What can be loaded besides networks, and where people get it: nothing is downloaded here.

The networks themselves are in `variants.PUBLISHED`.
"""

from dataclasses import dataclass

from regdata.cellvit.networks.published_heads import NUCLS
from regdata.cellvit.networks.variants import Variant

WEIGHTS = (
    (
        "CellViT-256, CellViT-SAM-H",
        "Zenodo record 15094831 (CellViT-256-x40-AMP.pth, CellViT-SAM-H-x40-AMP.pth); x20 and x40 "
        "on Google Drive, linked from github.com/TIO-IKIM/CellViT",
    ),
    ("CellViT-Virchow", "Google Drive, linked from github.com/TIO-IKIM/CellViT-plus-plus"),
    (
        "CellViT-SAM-B, -SAM-L, -UNI, -Virchow2",
        "no public file known (UNI's terms forbid one); those trained with CellViT++ load",
    ),
    ("HistoPLUS", "gated, see github.com/owkin/histoplus"),
    (
        "token heads",
        "checkpoints/classifier in github.com/TIO-IKIM/CellViT-plus-plus; classifier.zip of "
        "Zenodo record 15094831",
    ),
)
"""Where the weights of what are."""


def has_regression(variant: Variant) -> bool:
    """Whether a published network exists with a regression branch, too."""
    return variant.arch in ("CellViT256", "CellViTSAM")


@dataclass(frozen=True)
class Head:
    """A published token classifier.

    Attributes
    ----------
    name
        Of its file, and of the data it was trained on.
    hidden
        Width of its hidden layer.
    classes
        In the order of its outputs.
    label_map
        Whether the file names them; where it does not, these are built in.
    """

    name: str
    hidden: int
    classes: tuple[str, ...]
    label_map: bool = True


HEADS_OF = "CellViT-SAM-H"
"""The network whose tokens these heads take."""

HEADS = (
    Head("consep", 128, ("Other", "Inflammatory", "Epithelial", "Spindle-Shaped")),
    Head(
        "lizard",
        512,
        ("Neutrophil", "Epithelial", "Lymphocyte", "Plasma", "Eosinophil", "Connective"),
    ),
    Head("midog", 512, ("Mitotic", "Hard-Negative")),
    Head("nucls_main", 512, NUCLS["main"], label_map=False),
    Head("nucls_super", 128, NUCLS["super"], label_map=False),
    Head("ocelot", 256, ("Other Cell", "Tumor Cell")),
    Head("panoptils", 512, ("Other", "Epithelial", "Stromal", "TILs")),
)


@dataclass(frozen=True)
class EncoderWeights:
    """Weights of an encoder alone, to start a training from.

    Attributes
    ----------
    stored
        How the file holds them.
    networks
        Names of the networks whose encoder they fit.
    """

    name: str
    stored: str
    networks: tuple[str, ...]
    licence: str


_GATED = "gated, own terms"
ENCODERS = (
    EncoderWeights(
        "HIPT ViT-S/16",
        "DINO training, key `teacher`",
        ("CellViT-256",),
        "Apache-2.0 + Commons Clause",
    ),
    EncoderWeights(
        "Segment Anything",
        "Meta's files of ViT-B, -L, -H, `image_encoder.`",
        ("CellViT-SAM-B", "CellViT-SAM-L", "CellViT-SAM-H"),
        "Apache-2.0",
    ),
    EncoderWeights("UNI", "timm state dict", ("CellViT-UNI",), _GATED),
    EncoderWeights("Virchow", "timm state dict", ("CellViT-Virchow",), _GATED),
    EncoderWeights("Virchow2", "timm state dict", ("CellViT-Virchow2",), _GATED),
    EncoderWeights("H0-mini", "timm state dict", ("HistoPLUS-20x", "HistoPLUS-40x"), _GATED),
    EncoderWeights(
        "any plain ViT", "timm state dict", ("CellViT-generic",), "licence of its makers"
    ),
)
"""The last are any others."""
