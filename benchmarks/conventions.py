"""How much the convention alone moves a score: the built-in model on CoNSeP test in every preset.

    python benchmarks/conventions.py [docs/conventions.svg]

One set of nuclei, found once and named by the network's type branch, scored by each preset of
`regdata.eval`; prints a table and draws it. For `legacy-overlay` all images count as of one slide.
"""

import argparse
from pathlib import Path

import numpy as np
from data import data_folder, load_annotated
from numpy.typing import NDArray
from tiny import parsed

from regdata.cellvit.networks.weights import load_model
from regdata.eval import score_instances, score_points
from regdata.eval.segmentation import detect_at

MPP = 0.25
CLASSES = "1234"


def found() -> tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.int64]]]:
    """Points, and maps of instances and classes, of annotated and found nuclei."""
    model = load_model()
    points: dict[str, list[NDArray[np.float64]]] = {"gt": [], "pred": []}
    maps: dict[str, list[NDArray[np.int64]]] = {k: [] for k in ("gi", "gt", "pi", "pt")}
    for i, image in enumerate(load_annotated(data_folder() / "consep/test")):
        instances, cells = detect_at(model, image.rgb, MPP)
        number = np.full(len(image.xy), i)
        points["gt"].append(np.column_stack([number, image.xy, image.kinds]))
        number = np.full(len(cells), i)
        points["pred"].append(
            np.column_stack([number, cells.xy, cells.kind, cells.kind_probability])
        )
        for key, inst, kind in (("g", image.instances, image.kinds), ("p", instances, cells.kind)):
            maps[f"{key}i"].append(inst.astype(np.int64))
            maps[f"{key}t"].append(np.concatenate([[0], kind]).astype(np.int64)[inst])
    return (
        {name: np.concatenate(rows) for name, rows in points.items()},
        {name: np.stack(planes) for name, planes in maps.items()},
    )


def rows() -> list[tuple[str, str, float, float | None]]:
    """Preset, what is told, its value, and its chance level."""
    points, maps = found()
    images = int(points["gt"][:, 0].max()) + 1
    out: list[tuple[str, str, float, float | None]] = []
    for preset in ("regdata", "ocelot", "hovernet", "cellvitpp", "midog", "legacy-overlay"):
        more = {"slides": ["one"] * images} if preset == "legacy-overlay" else {}
        result = score_points(points["gt"], points["pred"], preset, **more)
        chance = (result["chance"] or {}).get("mean_f1")
        out.append((preset, "mean F1 of classes", _mean_f1(result), chance))
        for name in ("detection", "f1_d"):
            if name in result:
                value = result[name]["f1"] if isinstance(result[name], dict) else result[name]
                chance = (result["chance"] or {}).get("detection")
                out.append((preset, "F1 of detection", value, chance))
    arrays = maps["gi"], maps["gt"], maps["pi"], maps["pt"]
    for preset in ("regdata", "cellvitpp", "pannuke", "conic", "histoplus"):
        more = {"tissues": ["Colon"] * images} if preset == "pannuke" else {}
        result = score_instances(*arrays, preset, **more)
        out += [(preset, name, value, None) for name, value in _panoptic(preset, result)]
    return out


def _mean_f1(result: dict) -> float:  # type: ignore[type-arg]
    """Of the classes that occur."""
    if "f1_type" in result:
        values = result["f1_type"]
    else:
        keys = [key for key in ("classes", "per_class", "types") if key in result]
        classes = result[keys[0]] if keys else result
        values = {c: classes[c]["f1"] for c in CLASSES if c in classes}
    return float(np.mean([values[c] for c in CLASSES if c in values]))


def _panoptic(preset: str, result: dict) -> list[tuple[str, float]]:  # type: ignore[type-arg]
    if preset == "regdata":
        told = result["classes"]
        return [("mPQ", told["mpq"]["value"]), ("mPQ+", told["mpq_plus"]["value"])]
    if preset == "cellvitpp":
        told = result["cellvitpp_dataset"]
        return [("mPQ", told["mPQ"]), ("mPQ+", told["mPQ+"])]
    if preset == "pannuke":
        return [("mPQ", result["pannuke_run"]["Average mPQ"])]
    if preset == "conic":
        return [("mPQ+", result["conic_dataset"]["mpq_plus"])]
    return [("mean F1 of classes", result["mean_f1"])]


def draw(found_rows: list[tuple[str, str, float, float | None]], path: Path) -> None:
    """Bars by what is told, a line where chance lies."""
    parts, y = [], 30.0
    for told in dict.fromkeys(row[1] for row in found_rows):
        parts.append(f'<text x="10" y="{y:.0f}" font-weight="bold">{told}</text>')
        y += 8
        for preset, what, value, chance in found_rows:
            if what != told:
                continue
            fill = (
                "#2a6f97" if preset == "regdata" else "#c0392b" if "legacy" in preset else "#8d99ae"
            )
            parts.append(
                f'<text x="120" y="{y + 13:.0f}" text-anchor="end">{preset}</text>'
                f'<rect x="128" y="{y:.0f}" width="{480 * value:.0f}" height="17" fill="{fill}"/>'
                f'<text x="{134 + 480 * value:.0f}" y="{y + 13:.0f}">{value:.3f}</text>'
            )
            if chance is not None:
                x = 128 + 480 * chance
                parts.append(
                    f'<path d="M{x:.0f} {y:.0f}v17" stroke="#111" stroke-width="2" '
                    'stroke-dasharray="3 2"/>'
                )
            y += 21
        y += 24
    parts.append(
        f'<text x="10" y="{y:.0f}">The same nuclei in every bar; dashed: points at random places. '
        "CoNSeP test.</text>"
    )
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 660 {y + 16:.0f}" '
        'font-family="system-ui,sans-serif" font-size="13" fill="#222">'
        f'<rect width="660" height="{y + 16:.0f}" fill="white"/>{"".join(parts)}</svg>\n',
        encoding="utf-8",
    )


def main() -> None:
    """Print the table, draw it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("picture", nargs="?", type=Path)
    arguments = parsed(parser)
    found_rows = rows()
    print("| preset | what | value | chance |\n|---|---|---|---|")
    for preset, what, value, chance in found_rows:
        print(f"| {preset} | {what} | {value:.3f} | {'-' if chance is None else f'{chance:.3f}'} |")
    if arguments.picture:
        draw(found_rows, arguments.picture)


if __name__ == "__main__":
    main()
