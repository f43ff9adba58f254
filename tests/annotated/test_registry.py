from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import set_files

from regdata.annotated.registry import LOADERS, SetOptions, describe_sets, load_set, parse_set
from regdata.annotated.sets import AnnotatedImage, finish, patient_of
from regdata.errors import RegdataError

WRITERS: dict[str, Callable[[Path], Path]] = {
    "cellvit": set_files.write_cellvit,
    "coco": set_files.write_coco,
    "conic": set_files.write_conic,
    "consep": set_files.write_consep,
    "geojson": set_files.write_geojson,
    "lizard": set_files.write_lizard,
    "midog": set_files.write_midog,
    "monuseg": set_files.write_monuseg,
    "npz": set_files.write_npz,
    "nucls": set_files.write_nucls,
    "ocelot": set_files.write_ocelot,
    "pannuke": set_files.write_pannuke,
    "panoptils": set_files.write_panoptils,
    "segpath": set_files.write_segpath,
}


@pytest.mark.parametrize("name", LOADERS)
def test_every_set_by_its_name(name: str, tmp_path: Path) -> None:
    root = WRITERS[name](tmp_path)
    found = parse_set(f"{name.upper()}:{root}")()
    assert found.images
    for image in found.images:
        assert image.points_xy.shape == (len(image.labels), 2)
        assert image.labels.max(initial=-1) < len(found.classes)
        rgb = image.opened().read_rgb((0, 0), (5, 4))
        assert rgb.shape == (4, 5, 3)
    assert load_set(SetOptions(named=f"{name}:{root}", mpp=0.4)).mpp == (
        0.4 if LOADERS[name].takes_mpp else found.mpp
    )


@pytest.mark.parametrize("text", ["zebra:x", "nucls", "nucls:", "", ":x"])
def test_unknown_names_are_answered_with_the_known(text: str) -> None:
    with pytest.raises(RegdataError, match="expected NAME:DIR with a name of cellvit, coco"):
        parse_set(text)


def test_split_and_pixel_size(tmp_path: Path) -> None:
    root = set_files.write_ocelot(tmp_path)
    assert [i.name for i in parse_set(f"ocelot:{root}", split="train")().images] == ["001"]
    with pytest.raises(RegdataError, match="ocelot has a pixel size of its own"):
        parse_set(f"ocelot:{root}", mpp=0.5)
    assert load_set(SetOptions(named=f"ocelot:{root}", split="train")).images[0].name == "001"
    with pytest.raises(RegdataError, match="got `nucls=` and `set_=`"):
        load_set(SetOptions(named=f"ocelot:{root}", nucls=root))


def test_nucls_option_lets_ambiguous_nuclei_be(tmp_path: Path) -> None:
    root = set_files.write_nucls(tmp_path)
    assert load_set(SetOptions(nucls=root)).images[0].labels.tolist() == [0, 2, -1]
    assert load_set(SetOptions(named=f"nucls:{root}")).images[0].labels.tolist() == [0, 2, -1]


def test_help_has_a_line_for_each_set() -> None:
    lines = describe_sets().splitlines()
    assert [line.split()[0] for line in lines] == list(LOADERS)
    assert all(len(line) <= 100 for line in lines)


def test_every_set_is_in_the_documentation() -> None:
    text = (Path(__file__).parents[2] / "docs" / "sets.md").read_text()
    assert [name for name in LOADERS if f"`{name}`" not in text] == []


def test_what_no_set_may_hold(tmp_path: Path) -> None:
    def image(split: str = "") -> AnnotatedImage:
        return AnnotatedImage(
            path=Path("a.png"),
            points_xy=np.zeros((1, 2)),
            labels=np.zeros(1, int),
            slide="s",
            split=split,
        )

    assert len(finish([image("train"), image("test")], ("a",), 1, tmp_path).images) == 2
    with pytest.raises(RegdataError, match=r"one image of each name in .*, a is there 2x"):
        finish([image(), image()], ("a",), 1, tmp_path)
    with pytest.raises(RegdataError, match=r"expected annotated images in .*, found none"):
        finish([], ("a",), 1, tmp_path)
    with pytest.raises(RegdataError, match=r"expected a split of .* \(none\), got test"):
        finish([image()], ("a",), 1, tmp_path, "test")


def test_patients() -> None:
    assert patient_of("TCGA-18-5592-01Z-00-DX1") == "TCGA-18-5592"
    assert patient_of("train_1") == ""
