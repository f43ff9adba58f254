"""Tiny folders in the layouts of published annotated sets: two images, known nuclei.

Every map holds nucleus A, rows 1-2 and columns 2-4, and B, row 5 and columns 7-8. Their centroids
are (3.5, 2) and (8, 5.5): a pixel's centre lies half a pixel from its corner.
"""

import json
from pathlib import Path

import cv2
import numpy as np
import scipy.io

SIZE = (8, 10)
A, B = (3.5, 2.0), (8.0, 5.5)
TCGA = ("TCGA-A1-A0SP-DX1", "TCGA-E2-A158-DX1")


def picture(path: Path, size=SIZE, value=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.full((*size, 3), value, np.uint8)
    image[1:3, 2:5] = (0, 0, 200)  # BGR: nucleus A is red
    assert cv2.imwrite(str(path), image)
    return path


def text(path: Path, content: str):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def save(path: Path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)
    return path


def both(a, b, dtype=np.int32):
    """A map with a number for each nucleus."""
    out = np.zeros(SIZE, dtype)
    out[1:3, 2:5], out[5, 7:9] = a, b
    return out


def empty(dtype=np.int32):
    return np.zeros(SIZE, dtype)


def write_consep(root):
    """As published: capital folders, .mat of doubles; the second image is of the other split."""
    for part, name, types in (("Train", "train_1", (2, 4)), ("Test", "test_1", (3, 7))):
        picture(root / part / "Images" / f"{name}.png")
        (root / part / "Labels").mkdir(parents=True)
        arrays = {
            "inst_map": both(9, 4, np.float64),
            "type_map": both(*types, np.float64),
            "inst_type": np.array([[types[1]], [types[0]]]),
            "inst_centroid": np.array([[7.5, 5], [3, 1.5]]),
        }
        scipy.io.savemat(root / part / "Labels" / f"{name}.mat", arrays)
    return root


def write_npz(root, types=((2, 4), (3, 0))):
    for part, own in zip(("train", "test"), types, strict=True):
        picture(root / part / "images" / f"{part}_1.jpg")
        (root / part / "labels").mkdir(parents=True)
        maps = {"inst_map": both(9, 4)} | ({"type_map": both(*own)} if own else {})
        np.savez(root / part / "labels" / f"{part}_1.npz", **maps)
    return root


def write_lizard(root):
    """Ids are not in order: `class[k]` belongs to `id[k]`; id 5 has no pixel."""
    for k, name in enumerate(("consep_1", "glas_2")):
        picture(root / f"Lizard_Images{k + 1}" / f"{name}.png")
        labels = root / "Lizard_Labels" / "Labels"
        labels.mkdir(parents=True, exist_ok=True)
        arrays = {
            "inst_map": both(9, 4),
            "id": np.array([[9], [5], [4]]),
            "class": np.array([[6], [2], [3]]),
            "bbox": np.zeros((3, 4)),
            "centroid": np.zeros((3, 2)),
        }
        scipy.io.savemat(labels / f"{name}.mat", arrays)
    lines = "Filename,Source,Split\nconsep_1,consep,1\nglas_2,glas,3\n"
    text(root / "Lizard_Labels" / "info.csv", lines)
    return root


def write_conic(root, info=True):
    save(root / "images.npy", np.full((2, *SIZE, 3), 7, np.uint8))
    maps = np.stack([both(2, 1), both(6, 3)], axis=-1)
    save(root / "labels.npy", np.stack([maps, maps * 0]).astype(np.uint16))
    if info:
        text(root / "patch_info.csv", "patch_info\nconsep_1-0000\nglas_2-0001\n")
    return root


def pannuke_masks():
    """Id 3 in two layers; in the second image the dead cell covers half of A."""
    masks = np.zeros((2, *SIZE, 6))
    masks[0, ..., 0], masks[0, ..., 4] = both(3, 0), both(0, 3)
    masks[1, ..., 0] = both(1, 0)
    masks[1, 2, 2:5, 3] = 1
    masks[..., 5] = masks[..., :5].sum(axis=-1) == 0
    return masks


def write_pannuke(root, nested=True, fold=1):
    def place(name):
        return root / f"Fold {fold}" / name / f"fold{fold}" if nested else root / f"fold{fold}"

    save(place("images") / "images.npy", np.full((2, *SIZE, 3), 7.0))
    save(place("images") / "types.npy", np.array(["Breast", "Bile-duct"]))
    save(place("masks") / "masks.npy", pannuke_masks())
    return root


def write_pannuke_cellvit(root):
    fold = root / "fold0"
    for k in (0, 1):
        picture(fold / "images" / f"0_{k}.png")
        maps = {"inst_map": both(1, 2), "type_map": both(5, 2)} if k else {}
        maps = maps or {"inst_map": empty(), "type_map": empty()}
        save(fold / "labels" / f"0_{k}.npy", np.array(maps, object))
    text(fold / "types.csv", "img,type\n0_0.png,Breast\n0_1.png,Colon\n")
    return root


def write_ocelot(root):
    pairs = {}
    for k, (part, name) in enumerate((("train", "001"), ("val", "401"))):
        picture(root / "images" / part / "cell" / f"{name}.jpg")
        picture(root / "images" / part / "tissue" / f"{name}.jpg")
        rows = "" if k else "3,1,1\n8,5,2\n"
        text(root / "annotations" / part / "cell" / f"{name}.csv", rows)
        pairs[name] = {
            "slide_name": TCGA[k],
            "cell": {"resized_mpp_x": 0.2 + k / 100, "resized_mpp_y": 0.2},
            "organ": ("kidney", "prostate")[k],
        }
    text(root / "metadata.json", json.dumps({"sample_pairs": pairs}))
    return root


def panoptils_name(slide):
    return f"{slide}_xmin55486_ymin28926_MPP-0.2500_xmin-0_ymin-1024_xmax-1024_ymax-2048"


def write_panoptils(root, codes=((1, 5), (8, 3))):
    part = root / "tcga"
    for slide, own in zip(TCGA, codes, strict=True):
        name = panoptils_name(slide)
        picture(part / "rgbs" / f"{name}.png")
        region, nuclei, edges = empty(np.uint8) + 2, both(*own, np.uint8), empty(np.uint8)
        nuclei[nuclei == 0], nuclei[0] = 9, 0
        nuclei[1:3, 5] = own[0]  # an edge beside A, in its own class
        edges[1:3, 5] = 1
        (part / "masks").mkdir(exist_ok=True)
        cv2.imwrite(str(part / "masks" / f"{name}.png"), np.dstack([edges, nuclei, region]))
        lines = ",raw_group,group,xmin,ymin,xmax,ymax\n0,x,CancerEpithelium,2,1,5,3\n"
        text(part / "csv" / f"{name}.csv", lines + "1,x,UnknownOrAmbiguousCell,7,5,9,6\n")
    text(root / "train_test_splits" / "fold_1_test.csv", f",slide_name\n0,{TCGA[1]}\n")
    return root


def write_panoptils_cellvit(root):
    for part, slide in zip(("train", "test"), TCGA, strict=True):
        picture(root / part / "images" / f"{slide}_1.png")
        text(root / part / "annotations" / f"{slide}_1.csv", "3.5,2,0\n8,5.5,1\n1,1,2\n2,2,3\n")
    return root


def write_midog(root, table=True, boxes=((10, 20, 60, 70), (30, 30, 80, 80))):
    names = ("001.tiff", "002.tiff", "003.tiff")  # the third was not annotated
    for name in names[:2]:
        picture(root / "images" / name)
    images = [
        {"id": k + 1, "file_name": name, "tumor_type": "canine lymphoma", "width": 10, "height": 8}
        for k, name in enumerate(names)
    ]
    annotations = [
        {"bbox": list(box), "category_id": 1 + k, "image_id": 1, "id": k, "labels": {}}
        for k, box in enumerate(boxes)
    ]
    text(root / "MIDOGpp.json", json.dumps({"images": images, "annotations": annotations}))
    if table:
        lines = "1;train;canine lymphoma;S;O;canine;0.00023;0.00023\n2;test;x;S;O;canine;;\n"
        header = "Slide;Dataset;Tumor;Scanner;Origin;Species;mm_x;mm_y\n"
        text(root / "datasets_xvalidation.csv", header + lines)
    return root


def region(*points):
    vertices = "".join(f'<Vertex X="{x}" Y="{y}" Z="0"/>' for x, y in points)
    return f"<Region><Vertices>{vertices}</Vertices></Region>"


MONUSEG = (  # the first is A, and the last lies within the second
    region((2, 1), (5, 1), (5, 3), (2, 3)),
    region((5.75, 3.75), (9.25, 3.75), (9.25, 7.25), (5.75, 7.25)),
    region((7, 5), (9, 5), (9, 6), (7, 6)),
)


def imagescope(regions, head=""):
    return (
        f'<?xml version="1.0"?>{head}<Annotations MicronsPerPixel="0.25"><Annotation><Regions>'
        f"<RegionAttributeHeaders/>{''.join(regions)}</Regions></Annotation></Annotations>"
    )


def write_monuseg(root):
    for slide, regions in zip(TCGA, (MONUSEG, MONUSEG[:1]), strict=True):
        picture(root / "MoNuSeg Training" / "Tissue Images" / f"{slide}.tif")
        path = root / "MoNuSeg Training" / "Annotations" / f"{slide}.xml"
        text(path, imagescope(regions))
    return root


def write_segpath(root):
    stems = [f"CD3CD20_Lymphocyte_388_{x:06d}_049152" for x in (1024, 2048)]
    for stem in stems:
        picture(root / f"{stem}_HE.png")
        picture(root / f"{stem}_mask.png")
    rows = "".join(
        f"CD3CD20,{stem}_HE.png,{part}\n"
        for stem, part in zip(stems, ("train", "val"), strict=True)
    )
    text(root / "CD3CD20_fileinfo.csv", "antigen,filename,train_val_test\n" + rows)
    return root


def write_cellvit(root):
    for part, rows in (("train", "3,2,1\n"), ("test", "8,5,0\n")):
        picture(root / part / "images" / f"{part}_1.png")
        text(root / part / "labels" / f"{part}_1.csv", rows)
    text(root / "label_map.yaml", '0: "tumour"\n1: "lymphocyte"\n')
    return root


def coco_entries():
    runs = np.flatnonzero(np.diff(np.concatenate([[0], both(0, 1).T.ravel(), [0]])))
    counts = np.diff(np.concatenate([[0], runs, [SIZE[0] * SIZE[1]]])).tolist()
    polygon = [[2, 1, 5, 1, 5, 3, 2, 3]]
    return [
        {"image_id": 7, "category_id": 5, "segmentation": polygon, "bbox": [2, 1, 3, 2]},
        {"image_id": 7, "category_id": 3, "segmentation": {"size": SIZE, "counts": counts}},
        {"image_id": 8, "category_id": 3, "bbox": [2, 1, 3, 2]},
        {"image_id": 8, "category_id": 3, "bbox": [0, 0, 9, 7], "iscrowd": 1},
    ]


def write_coco(root):
    images = [
        {"id": k, "file_name": f"{k}.png", "height": SIZE[0], "width": SIZE[1]} for k in (7, 8)
    ]
    for image in images:
        picture(root / "images" / image["file_name"])
    kinds = [{"id": 5, "name": "tumour"}, {"id": 3, "name": "stroma"}]
    content = {"images": images, "annotations": coco_entries(), "categories": kinds}
    text(root / "annotations" / "instances_train.json", json.dumps(content))
    return root


def write_geojson(root):
    for k, name in enumerate(("a", "b")):
        picture(root / f"{name}.png")
        ring = [[2, 1], [5, 1], [5, 3], [2, 3], [2, 1]]
        feature = {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [ring]},
            "properties": {"classification": {"name": "tumour"}},
        }
        content = {"type": "FeatureCollection", "features": [feature] if k else []}
        text(root / f"{name}.geojson", json.dumps(content))
    return root


def write_nucls(root):
    """Images reach beyond their field, which the mask shows: columns 1 to 8."""
    rows = "0,tumor,,,rectangle,2,1,5,3,,\n1,correction_lymphocyte,,,rectangle,7,5,9,6,,\n"
    rows += "2,apoptotic_body,,,polyline,2,5,4,7,,\n"
    header = ",raw_classification,main_classification,super_classification,type,xmin,ymin,xmax,ymax"
    for slide in TCGA:
        name = f"{slide}_id-5ea_left-7053_top-53967_bottom-54231_right-7311"
        picture(root / "rgbs" / f"{name}.png")
        text(root / "csv" / f"{name}.csv", f"{header},coords_x,coords_y\n{rows}")
        mask = np.zeros((*SIZE, 3), np.uint8)
        mask[:, 1:9, 2] = 253  # OpenCV writes red last
        (root / "masks").mkdir(exist_ok=True)
        cv2.imwrite(str(root / "masks" / f"{name}.png"), mask)
    text(root / "train_test_splits" / "fold_1_test.csv", f",slide_name\n0,{TCGA[1]}\n")
    return root
