from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.io import savemat

from regdata.annotated.outlined import AnnotatedNuclei
from regdata.annotated.pannuke import TISSUES, load_pannuke, split_layers
from regdata.annotated.sources import Images, SourceConfig, load_images, split_held_out
from regdata.errors import RegdataError

RED = np.zeros((6, 8, 3), np.uint8)
RED[..., 0] = 200
INSTANCES = np.zeros((6, 8), np.int32)
INSTANCES[1:3, 1:4], INSTANCES[4:, 5:] = 70000, 2
NUMBERED = np.where(INSTANCES == 2, 1, 2 * (INSTANCES > 0))
TYPES = np.where(INSTANCES == 2, 7, 3 * (INSTANCES > 0)).astype(np.uint8)


def write_folder(folder: Path, name: str, **labels: NDArray[np.generic]) -> None:
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / "images" / f"{name}.png"), RED[..., ::-1])
    np.savez(folder / "labels" / f"{name}.npz", **labels)


def write_consep(folder: Path, name: str, **labels: NDArray[np.generic]) -> None:
    for part in ("Images", "Labels"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / "Images" / f"{name}.png"), RED[..., ::-1])
    savemat(folder / "Labels" / f"{name}.mat", labels)


def write_fold(images: Path, tissues: list[str], masks: Path | None = None) -> NDArray[np.float64]:
    """As published: float64 arrays, ids that repeat across classes."""
    layers = np.zeros((len(tissues), 5, 5, 6))
    for k in range(len(tissues)):
        layers[k, :3, :3, 0] = 4
        layers[k, 3:, 3:, 0] = 9
        layers[k, 2:, 2:, 4] = 4 + k
        layers[k, ..., 5] = 1
    pixels = np.zeros((len(tissues), 5, 5, 3))
    pixels[..., 0] = np.arange(len(tissues))[:, None, None]
    for folder in (images, masks or images):
        folder.mkdir(parents=True, exist_ok=True)
    np.save(images / "images.npy", pixels)
    np.save((masks or images) / "masks.npy", layers)
    np.save(images / "types.npy", np.array(tissues))
    return layers


def test_folder(tmp_path: Path) -> None:
    write_folder(tmp_path, "b.1", inst_map=INSTANCES, type_map=TYPES)
    write_folder(tmp_path, "a", inst_map=INSTANCES)
    a, b = load_images(SourceConfig(path=tmp_path))
    assert (a.name, b.name) == ("a", "b.1")
    assert np.array_equal(a.rgb, RED)
    assert np.array_equal(a.instances, NUMBERED)
    assert a.types is None
    assert b.types is not None
    assert np.array_equal(b.types, TYPES)
    assert (b.instances.dtype, b.types.dtype, b.tissue) == (np.int32, np.uint8, None)


def test_classes_can_be_left_unused(tmp_path: Path) -> None:
    write_folder(tmp_path, "a", inst_map=INSTANCES, type_map=TYPES)
    assert load_images(SourceConfig(path=tmp_path, classes=False))[0].types is None


def test_consep_merges_seven_types_into_four(tmp_path: Path) -> None:
    instances = np.arange(48).reshape(6, 8)
    types = np.repeat([[0, 1, 2, 3, 4, 5, 6, 7]], 6, 0)
    write_consep(tmp_path, "train_1", inst_map=instances.astype(float), type_map=types)
    (image,) = load_images(SourceConfig(path=tmp_path, layout="consep"))
    assert image.types is not None
    assert image.types[3].tolist() == [0, 1, 2, 3, 3, 4, 4, 4]
    assert image.instances.max() == 47


def test_layers_of_pannuke_by_hand() -> None:
    masks = np.zeros((1, 5, 6))
    masks[0, :3, 0] = [5, 5, 8]
    masks[0, 1:3, 2] = 5  # another nucleus of the same id, over the first two
    masks[0, 3, 4] = 1
    masks[0, :, 5] = 1
    outlines, labels, layers = split_layers(masks)
    assert outlines.tolist() == [[1, 3, 3, 4, 0]]
    assert labels.tolist() == [0, 0, 2, 4]
    assert layers[0][1].tolist() == [1, 1, 2]


def test_pannuke_cuts_images_of_all_folds(tmp_path: Path) -> None:
    write_fold(tmp_path / "fold1", ["Breast", "Bile-duct", "Head&Neck"])
    layers = write_fold(tmp_path / "fold2", ["Uterus"])
    images = load_images(SourceConfig(path=tmp_path, layout="pannuke"))
    assert images.names == ("fold1_0", "fold1_1", "fold1_2", "fold2_0")
    assert [TISSUES[k] for k in images.tissues] == ["Breast", "Bile-duct", "HeadNeck", "Uterus"]
    image = images[2]
    assert (image.name, image.tissue, image.rgb[0, 0].tolist()) == ("fold1_2", 7, [2, 0, 0])
    assert image.types is not None
    assert np.unique(image.instances).tolist() == [0, 1, 2]  # the second is all covered
    assert image.types[2:, 2:].tolist() == [[5] * 3] * 3
    assert np.array_equal(images[3].instances > 0, (layers[0][..., :5] > 0).any(-1))
    assert len(TISSUES) == 19
    assert list(TISSUES) == sorted(TISSUES)


def test_pannuke_as_the_archives_unpack(tmp_path: Path) -> None:
    fold = tmp_path / "Fold 1"
    write_fold(fold / "images" / "fold1", ["Skin"], fold / "masks" / "fold1")
    assert load_images(SourceConfig(path=tmp_path, layout="pannuke"))[0].name == "fold1_0"


def test_images_are_read_one_by_one() -> None:
    seen = []

    def read(k: int) -> AnnotatedNuclei:
        seen.append(k)
        return AnnotatedNuclei(str(k), RED, INSTANCES)

    images = Images(tuple("abcdef"), (0, 1, 2, 3, 4, 5), read)
    part = images[1:].take([4, 0, 2])
    assert (part.names, part.tissues, seen) == (("f", "b", "d"), (5, 1, 3), [])
    assert [image.name for image in part] == ["5", "1", "3"]
    assert part[-1].name == "3"
    assert seen == [5, 1, 3, 3]


def test_held_out_images() -> None:
    images = Images.of([AnnotatedNuclei(n, RED, INSTANCES) for n in ("a_1", "b_1", "a_2", "a_10")])
    train, out = split_held_out(images, ("a_", "c"))
    assert (train.names, out.names) == (("b_1",), ("a_1", "a_2", "a_10"))
    assert split_held_out(images, ("a_1.",))[1].names == ("a_1",)
    assert split_held_out(images, ())[0].names == images.names
    with pytest.raises(RegdataError, match="no image begins with z; the names are like a_1"):
        split_held_out(images, ("z",))


def test_folders_that_do_not_fit(tmp_path: Path) -> None:
    def fails(match: str, layout: str = "folder", path: Path = tmp_path) -> None:
        with pytest.raises(RegdataError, match=match) as error:
            load_images(SourceConfig.model_validate({"path": path, "layout": layout}))
        assert "\n" not in error.value.message

    fails("expected images/ and labels/.*npz in")
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    fails("expected images .* found nothing")
    fails(r"expected images\.npy of a PanNuke fold", "pannuke")
    write_folder(tmp_path, "a", labels=INSTANCES)
    fails(r"expected the arrays inst_map in .*a\.npz, found labels")
    write_folder(tmp_path, "a", inst_map=INSTANCES[:5])
    fails(r"a\.npz is \(5, 8\), its image \(6, 8\)")
    (tmp_path / "labels" / "a.npz").write_bytes(b"PK no zip")
    fails(r"expected arrays in .*a\.npz, but it cannot be read")
    (tmp_path / "labels" / "a.npz").unlink()
    fails(r"1 images without NAME\.npz, the first is a")
    write_folder(tmp_path, "a", inst_map=INSTANCES)
    (tmp_path / "images" / "a.png").write_bytes(b"no image")
    fails("is not an image that can be read")
    consep = tmp_path / "consep"
    write_consep(consep, "t", inst_map=INSTANCES)
    fails(r"expected the arrays inst_map, type_map in .*t\.mat, found inst_map", "consep", consep)
    write_consep(consep, "t", inst_map=INSTANCES, type_map=TYPES + 1)
    fails(r"expected whole numbers 0 to 7 in type_map of .*t\.mat, found 8", "consep", consep)
    (consep / "Labels" / "t.mat").write_bytes(b"MATLAB 7.3" * 50)
    fails("expected a MATLAB file, but .*t.mat", "consep", consep)


def test_folds_that_do_not_fit(tmp_path: Path) -> None:
    def fails(match: str) -> None:
        with pytest.raises(RegdataError, match=match):
            load_images(SourceConfig(path=tmp_path, layout="pannuke"))

    fold = tmp_path / "fold1"
    layers = write_fold(fold, ["Skin", "Moon"])
    fails("has Moon; expected one of 19 tissues")
    np.save(fold / "types.npy", np.array(["Skin"]))
    fails("expected 2 tissues in .*, found 1")
    np.save(fold / "masks.npy", layers[..., :3])
    fails(r"found \(2, 5, 5, 3\) and \(2, 5, 5, 3\)")
    (fold / "masks.npy").unlink()
    fails(r"expected masks\.npy beside")
    np.save(fold / "images.npy", layers)
    write_fold(tmp_path / "b" / "fold1", ["Skin"])
    write_fold(fold, ["Skin"])
    fails("the folds below .* are fold1, fold1")


@pytest.mark.parametrize("wrong", [-1, 0.5, np.nan])
def test_masks_of_other_than_ids_are_refused(wrong: float, tmp_path: Path) -> None:
    layers = write_fold(tmp_path / "fold1", ["Skin"])
    layers[0, 0, 4, 2] = wrong
    np.save(tmp_path / "fold1" / "masks.npy", layers)
    images = load_images(SourceConfig(path=tmp_path, layout="pannuke"))
    with pytest.raises(RegdataError, match=f"expected whole numbers .* found {wrong}"):
        images[0]
    with pytest.raises(RegdataError, match=f"expected whole numbers .* found {wrong}"):
        load_pannuke(tmp_path)
