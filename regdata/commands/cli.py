"""The command line: parse, call one function, print one summary."""

import click

from regdata.commands.build import build
from regdata.commands.demo import demo
from regdata.commands.evaluate import agree, compare, evaluate
from regdata.commands.evaluate_segmentation import evaluate_segmentation
from regdata.commands.export import export
from regdata.commands.label_images import label_images
from regdata.commands.models import models
from regdata.commands.options import Group
from regdata.commands.register import register
from regdata.commands.relabel import relabel
from regdata.commands.segment import segment
from regdata.commands.train import train
from regdata.commands.train_segmentation import train_segmentation
from regdata.commands.transforms import export_transform, import_transform
from regdata.commands.validate import validate
from regdata.commands.warp import warp, warp_geojson, warp_points

_COMMANDS = (
    build,
    relabel,
    train,
    evaluate,
    validate,
    agree,
    compare,
    export,
    segment,
    label_images,
    train_segmentation,
    evaluate_segmentation,
    models,
    register,
    warp,
    warp_points,
    warp_geojson,
    export_transform,
    import_transform,
    demo,
)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="regdata", prog_name="regdata")
def main() -> None:
    """From a restained section (H&E and IF slide) to labelled cells, a classifier and a score."""


for _command in _COMMANDS:
    main.add_command(_command)
