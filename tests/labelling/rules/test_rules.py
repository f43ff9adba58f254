import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from regdata.errors import RegdataError
from regdata.labelling.rules.rules import Rule, joined, negation, parse_rules

MARKERS = ("CD3", "CD20", "CD4", "MIST1", "panCK", "HLA-DR", "PD-1/L1", "CD3+", "Pan CK", "Ki.67")


def rule(text: str, markers: tuple[str, ...] = MARKERS) -> Rule:
    return parse_rules([f"x = {text}"], markers)["x"]


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("CD3", "CD3"),
        ("CD3,CD20", "CD3 | CD20"),
        ("CD3 | CD20|CD4", "CD3 | CD20 | CD4"),
        ("CD3 | (CD20 | CD4)", "CD3 | CD20 | CD4"),
        ("MIST1 & ~panCK", "MIST1 & ~panCK"),
        ("MIST1 AND not panCK or !CD3", "MIST1 & ~panCK | ~CD3"),
        ("CD3, CD20 & CD4", "CD3 | CD20 & CD4"),
        ("(CD3, CD20) & CD4", "(CD3 | CD20) & CD4"),
        ("~(CD3 & CD4)", "~(CD3 & CD4)"),
        ("not CD3 & CD4", "~CD3 & CD4"),
        ("~~CD3", "CD3"),
        ("~!not CD3", "~CD3"),
        ("((CD3))", "CD3"),
        ("HLA-DR & PD-1/L1 & CD3+ & Ki.67", "HLA-DR & PD-1/L1 & CD3+ & Ki.67"),
        ("\"Pan CK\" & 'CD3'", '"Pan CK" & CD3'),
    ],
)
def test_rules_are_read(text: str, canonical: str) -> None:
    assert str(rule(text)) == canonical
    assert rule(canonical) == rule(text)


def test_the_old_form() -> None:
    rules = parse_rules(["lymphocyte=CD3,CD20", "CD4=CD4"], MARKERS)
    assert list(rules) == ["lymphocyte", "CD4"]
    assert rules["lymphocyte"].markers == ("CD3", "CD20")
    assert str(rules["CD4"]) == "CD4"


def test_classes_use_earlier_and_later_classes() -> None:
    texts = ["helper = T & CD4", "T = CD3 & ~B", "B = CD20", '"other T" = T & ~helper']
    rules = parse_rules([*texts, "any = 'other T' | helper"], MARKERS)
    assert str(rules["helper"]) == "CD3 & ~CD20 & CD4"
    assert str(rules["other T"]) == "CD3 & ~CD20 & ~(CD3 & ~CD20 & CD4)"
    assert rules["any"].markers == ("CD3", "CD20", "CD4")


def test_a_class_may_have_its_markers_name() -> None:
    rules = parse_rules(["CD3 = CD3", "helper = CD3 & CD4", "CD20 = CD20 & ~CD3"], MARKERS)
    assert str(rules["helper"]) == "CD3 & CD4"
    assert str(rules["CD20"]) == "CD20 & ~CD3"


def test_names_that_need_quotes() -> None:
    names = ("and", "a b", 'say "x"', "it's", "a|b", "(", "Not", "=", "β-gal")
    for name in names:
        read = rule(str(Rule("marker", name)), names)
        assert read == Rule("marker", name)


NAMES = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), min_size=1, max_size=6)


@st.composite
def rules_of(draw: st.DrawFn, leaves: st.SearchStrategy[Rule], depth: int = 3) -> Rule:
    kind = draw(st.sampled_from(["leaf", "not", "and", "or"])) if depth else "leaf"
    if kind == "leaf":
        return draw(leaves)
    if kind == "not":
        return negation(draw(rules_of(leaves, depth - 1)))
    parts = draw(st.lists(rules_of(leaves, depth - 1), min_size=2, max_size=3))
    return joined(kind, parts)


@settings(deadline=None, max_examples=60)
@given(rules_of(NAMES.map(lambda name: Rule("marker", name))))
def test_text_reads_back_as_the_same_rule(tree: Rule) -> None:
    assert rule(str(tree), tree.markers) == tree


ABC = rules_of(st.sampled_from("abc").map(lambda name: Rule("marker", name)))


def grid(states: tuple[int, ...]) -> dict[str, NDArray[np.int8]]:
    """Every combination of states of three markers."""
    every = np.array(list(itertools.product(states, repeat=3)), np.int8)
    return dict(zip("abc", every.T, strict=True))


@settings(deadline=None, max_examples=60)
@given(ABC)
def test_definite_states_agree_with_python(tree: Rule) -> None:
    states = grid((0, 1))
    names = {name: state == 1 for name, state in states.items()}
    # Python's own parser has the same precedence of ~ & |
    expected = eval(str(tree), {}, names)
    assert tree.evaluate(states).tolist() == expected.astype(int).tolist()
    chance = {name: state.astype(float) for name, state in states.items()}
    assert tree.probability(chance).tolist() == expected.astype(float).tolist()


def kleene(tree: Rule, states: dict[str, int]) -> int | None:
    """Twin of `evaluate` for one nucleus, by the truth tables."""
    if tree.kind == "marker":
        state = states[tree.marker]
        return None if state < 0 else state
    parts = [kleene(part, states) for part in tree.parts]
    if tree.kind == "not":
        return None if parts[0] is None else 1 - parts[0]
    decisive = 0 if tree.kind == "and" else 1
    if decisive in parts:
        return decisive
    return None if None in parts else 1 - decisive


@settings(deadline=None, max_examples=60)
@given(ABC)
def test_unknown_states_follow_kleene(tree: Rule) -> None:
    states = grid((-1, 0, 1))
    found = tree.evaluate(states)
    assert found.dtype == np.int8
    for i, value in enumerate(found):
        expected = kleene(tree, {name: int(state[i]) for name, state in states.items()})
        assert value == (-1 if expected is None else expected)


def test_unknown_matters_only_where_it_can() -> None:
    states = {
        "CD3": np.array([1, 0, -1, -1], np.int8),
        "CD20": np.array([-1, -1, 1, 0], np.int8),
    }
    assert rule("CD3 | CD20").evaluate(states).tolist() == [1, -1, 1, -1]
    assert rule("CD3 & CD20").evaluate(states).tolist() == [-1, 0, -1, 0]
    assert rule("~CD3").evaluate(states).tolist() == [0, 1, -1, -1]


def test_probability_is_the_share_of_draws() -> None:
    tree = rule("CD3 & ~CD4 | MIST1 & (panCK | CD20)")  # each marker once
    chance = dict(zip(tree.markers, (0.7, 0.2, 0.4, 0.3, 0.5), strict=True))
    rng = np.random.default_rng(0)
    drawn = {name: (rng.random(200_000) < p).astype(np.int8) for name, p in chance.items()}
    found = tree.probability({name: np.array([p]) for name, p in chance.items()})
    assert found == pytest.approx([tree.evaluate(drawn).mean()], abs=0.005)
    assert rule("CD3 & ~CD3").probability({"CD3": np.array([0.5])}) == pytest.approx([0.25])


def test_an_unknown_probability_stays_unknown() -> None:
    found = rule("CD3 | CD4").probability({"CD3": np.array([np.nan]), "CD4": np.array([0.5])})
    assert np.isnan(found).all()


@pytest.mark.parametrize(
    ("definitions", "message"),
    [
        (["x"], "class 'x': expected NAME = MARKER"),
        (["= CD3"], "class '= CD3': expected NAME"),
        (["x ="], r"a marker is missing after = \(here: x = >>>\)"),
        (["x = MIST1 &"], r"a marker is missing after & \(here: x = MIST1 & >>>\)"),
        (["x = CD3,,CD4"], r"a marker is missing after , \(here: x = CD3, >>> ,CD4\)"),
        (["x = | CD3"], r"a marker is missing after = \(here: x = +>>> \| CD3\)"),
        (["x = ()"], r"a marker is missing after \( "),
        (["x = CD3 ~CD4"], "an operator is missing before ~"),
        (["x = CD3 CD4"], r"an operator is missing before CD4.*\(here: x = CD3 +>>> CD4\)"),
        (["x = (CD3 | CD4"], r"the \( is never closed \(here: x = +>>> \(CD3"),
        (["x = CD3)"], r"a \) that was never opened \(here: x = CD3 >>> \)\)"),
        (["x = 'CD3"], "a quote that is never closed"),
        (["x = CD3 = CD4"], "an = too many"),
        (["x = " + "(" * 99 + "CD3" + ")" * 99], "nested more than 50 deep"),
        (["x = CD44"], "'CD44', which is no marker or class, did you mean CD4.*CD3, CD20.*Ki.67"),
        (["helper = CD4", "x = helpr"], "did you mean helper.*and the classes helper, x"),
        (["x = cd3"], r"did you mean CD3\?"),
        (["x = zzz"], "x uses 'zzz', which is no marker or class; there are the markers CD3"),
        (["negative = CD3"], "every file has a label negative"),
        (["'unknown' = CD3"], "every file has a label unknown"),
        (["x = CD3", " x=CD4"], "class x is defined twice"),
        (["x = x"], "by one another: x -> x"),
        (["w = x", "x = y", "y = CD3 & ~z", "z = x"], "by one another: x -> y -> z -> x"),
        (["CD3 = CD3 & CD4", "x = CD3"], "x uses CD3, which is a marker and a class"),
    ],
)
def test_what_is_no_rule(definitions: list[str], message: str) -> None:
    with pytest.raises(RegdataError, match=message) as caught:
        parse_rules(definitions, MARKERS)
    assert "\n" not in caught.value.message
