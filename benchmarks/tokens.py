"""How well a linear classifier separates classes of nuclei by a network's tokens.

    python benchmarks/tokens.py [consep/train] [consep/test] [--model FILE]

Logistic regression, every class weighing the same, on the tokens of nuclei found within 3.75 µm of
an annotated one; recall per class and balanced accuracy on the matched nuclei of the second folder.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

from data import data_folder
from tiny import parsed

from regdata.annotated.outlined import AnnotatedNuclei, OutlinedImage, find_annotated
from regdata.cellvit.networks.weights import load_model
from regdata.eval.separability import token_separability


def images(folder: str) -> Iterator[AnnotatedNuclei]:
    """Annotated images of a folder below the data folder."""
    yield from map(OutlinedImage.read, find_annotated(data_folder() / folder))


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("train", nargs="?", default="consep/train")
    parser.add_argument("test", nargs="?", default="consep/test")
    parser.add_argument("--model", type=Path)
    arguments = parsed(parser)
    model = load_model(arguments.model)
    found = token_separability(model, images(arguments.train), images(arguments.test))
    print(f"{arguments.train} -> {arguments.test}, model {model.sha256[:12]}")
    for row in zip(found.classes, found.train, found.test, found.recall, strict=True):
        print("class {}: {:6d} train {:6d} test  recall {:.3f}".format(*row))
    print(f"balanced accuracy {found.balanced_accuracy:.3f}")


if __name__ == "__main__":
    main()
