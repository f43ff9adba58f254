import pytest
import torch
from torch import Tensor

from regdata.errors import RegdataError
from regdata.train.segmentation.losses import (
    LossConfig,
    cellvit_loss,
    dice,
    focal_tversky,
    gradient_error,
    gradient_kernels,
    token_entropy,
)


def one_hot(mask: Tensor) -> Tensor:
    return torch.stack([1 - mask, mask])[None]


TRUTH = one_hot(torch.tensor([[1.0, 1.0], [0.0, 0.0]]))
HALF = torch.full((1, 2, 2, 2), 0.5)


def test_dice_by_hand() -> None:
    assert dice(TRUTH, TRUTH).item() == pytest.approx(0, abs=1e-6)
    # per channel: hit 1, miss 1, false 1 -> 1 - 2/4
    assert dice(HALF, TRUTH).item() == pytest.approx(1 - 2.001 / 4.001, abs=1e-6)


def test_focal_tversky_by_hand() -> None:
    assert focal_tversky(TRUTH, TRUTH).item() == pytest.approx(0, abs=1e-4)
    # per channel: 1 / (1 + 0.7 + 0.3) = 0.5, to the power 3/4
    assert focal_tversky(HALF, TRUTH).item() == pytest.approx(0.5**0.75, abs=1e-5)
    # misses weigh more than false alarms
    nothing, everything = one_hot(torch.zeros(2, 2)), one_hot(torch.ones(2, 2))
    both = one_hot(torch.tensor([[1.0, 0.0], [0.0, 0.0]]))
    assert focal_tversky(nothing, both)[0] != focal_tversky(everything, both)[0]


def test_gradients_stay_finite_where_a_class_is_absent_and_ruled_out() -> None:
    """The power below 1 has an infinite slope at a perfect score."""
    logits = torch.tensor([200.0, -200.0])[None, :, None, None].repeat(1, 1, 4, 4).requires_grad_()
    probability = logits.softmax(1)
    assert probability[0, 1].max() == 0  # the guard: it underflows, so the score is perfect
    target = one_hot(torch.zeros(4, 4))
    (focal_tversky(probability, target) + dice(probability, target)).sum().backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_kernels_are_hover_nets() -> None:
    along_x, along_y = gradient_kernels(torch.device("cpu"))[:, 0]
    assert along_x[2].tolist() == pytest.approx([-0.5, -1.0, 0.0, 1.0, 0.5])
    assert along_x[0, 0].item() == pytest.approx(-2 / 8)
    assert torch.equal(along_y, along_x.T)


def test_gradient_error_sees_a_missing_jump() -> None:
    target = torch.zeros(1, 2, 9, 9)
    target[0, 0] = torch.tensor([-1.0, -0.5, 0, 0.5, 1, -1, -0.3, 0.3, 1])  # two nuclei in a row
    flat = target.clone()
    flat[0, 0] = torch.linspace(-1, 1, 9)
    inside = torch.ones(1, 9, 9)
    assert gradient_error(target, target, inside).item() == 0
    assert gradient_error(flat, target, inside).item() > 0.5
    assert gradient_error(flat, target, torch.zeros(1, 9, 9)).item() == 0


def test_channel_0_is_differentiated_along_x() -> None:
    target = torch.zeros(1, 2, 9, 9)
    ramp = torch.arange(9.0)
    along_x, along_y = target.clone(), target.clone()
    along_x[0, 0], along_y[0, 0] = ramp[None, :], ramp[:, None]
    centre = torch.zeros(1, 9, 9)
    centre[0, 4, 4] = 1
    assert gradient_error(along_x, target, centre).item() > 1
    assert gradient_error(along_y, target, centre).item() == pytest.approx(0, abs=1e-6)


def batch(hv_weight: float, type_weight: float) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    torch.manual_seed(0)
    output = {
        "nuclei_binary_map": torch.randn(2, 2, 16, 16),
        "hv_map": torch.randn(2, 2, 16, 16),
        "nuclei_type_map": torch.randn(2, 5, 16, 16),
    }
    target = {
        "foreground": torch.rand(2, 16, 16) > 0.5,
        "hv": torch.randn(2, 2, 16, 16),
        "types": torch.randint(0, 5, (2, 16, 16)),
        "hv_weight": torch.tensor([hv_weight, 1.0]),
        "type_weight": torch.tensor([type_weight, 1.0]),
    }
    return output, target


def test_images_without_classes_do_not_train_them() -> None:
    output, target = batch(1.0, 0.0)
    logits = output["nuclei_type_map"].requires_grad_()
    cellvit_loss(output, target)["nt"].backward()
    assert logits.grad is not None
    assert not logits.grad[0].any()
    assert logits.grad[1].any()


def test_the_hv_weight_scales_one_image() -> None:
    full, none = (cellvit_loss(*batch(weight, 1.0))["hv"].item() for weight in (1.0, 0.0))
    quarter = cellvit_loss(*batch(0.25, 1.0))["hv"].item()
    assert quarter == pytest.approx(none + 0.25 * (full - none), rel=1e-5)
    assert full > none > 0


def test_defaults_are_the_published_weights() -> None:
    published = LossConfig.cellvit()
    assert published == LossConfig(dice_sum=True)
    assert LossConfig.cellvit(parity=True) == LossConfig(
        dice_sum=True, double_softmax=True, transposed_gradient=True
    )
    weights = {k: v for k, v in published.model_dump().items() if type(v) is float}
    del weights["token"]  # not of the paper; its networks have no token head
    assert list(weights.values()) == [1, 1, 0, 2.5, 8, 0.5, 0.2, 0.5, 0.1, 1]


NOTHING = LossConfig.model_validate(
    {name: 0.0 for name, f in LossConfig.model_fields.items() if f.annotation is float}
)


def only(**weights: object) -> LossConfig:
    return LossConfig.model_validate({**NOTHING.model_dump(), **weights})


def by_hand() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """One image of 2x2, the upper half nucleus of type 1; logits that say nothing."""
    output = {
        "nuclei_binary_map": torch.zeros(1, 2, 2, 2),
        "hv_map": torch.full((1, 2, 2, 2), 0.5),
        "nuclei_type_map": torch.zeros(1, 2, 2, 2),
        "tissue_types": torch.zeros(1, 4),
        "regression_map": torch.full((1, 2, 2, 2), 3.0),
    }
    mask = torch.tensor([[[True, True], [False, False]]])
    target = {
        "foreground": mask,
        "hv": torch.zeros(1, 2, 2, 2),
        "types": mask.long(),
        "hv_weight": torch.ones(1),
        "type_weight": torch.ones(1),
        "tissue": torch.tensor([2]),
    }
    return output, target


LOG2 = 0.693147
DICE = 1 - 2.001 / 4.001


@pytest.mark.parametrize(
    ("config", "term", "expected"),
    [
        (only(np_cross_entropy=2), "np", 2 * LOG2),
        (only(np_dice=3), "np", 3 * DICE),
        (only(np_dice=3, dice_sum=True), "np", 6 * DICE),
        (only(np_focal_tversky=2), "np", 2 * 0.5**0.75),
        (only(nt_cross_entropy=2), "nt", 2 * LOG2),
        (only(nt_dice=1), "nt", DICE),
        (only(nt_focal_tversky=1), "nt", 0.5**0.75),
        (only(hv_mse=2.5), "hv", 2.5 * 0.25),
        (only(tissue=0.1), "tissue", 0.1 * 2 * LOG2),
        (only(regression=2), "regression", 18),
    ],
)
def test_each_weight_by_hand(config: LossConfig, term: str, expected: float) -> None:
    terms = cellvit_loss(*by_hand(), config)
    assert terms.pop(term).item() == pytest.approx(expected, rel=1e-4)
    assert all(value.item() == 0 for value in terms.values())


def test_double_softmax_by_hand() -> None:
    output, target = by_hand()
    right = torch.where(target["foreground"], 50.0, -50.0)
    output["nuclei_binary_map"] = torch.stack([-right, right], 1)
    plain = cellvit_loss(output, target, only(np_focal_tversky=1))["np"].item()
    twice = cellvit_loss(output, target, only(np_focal_tversky=1, double_softmax=True))["np"]
    assert plain < 1e-3
    # the right answers have 0.7311 of 1: hit 2 p, miss and false 2 (1 - p)
    assert twice.item() == pytest.approx((1 - 0.731059) ** 0.75, rel=1e-3)


def test_transposed_gradients_swap_the_axes() -> None:
    target = torch.zeros(1, 2, 9, 9)
    along_x = target.clone()
    along_x[0, 0] = torch.arange(9.0)
    centre = torch.zeros(1, 9, 9)
    centre[0, 4, 4] = 1
    assert gradient_error(along_x, target, centre, transposed=True).item() < 1e-6
    output, labels = batch(1.0, 1.0)
    both = (
        cellvit_loss(output, labels, only(hv_gradient=1, transposed_gradient=t))["hv"].item()
        for t in (False, True)
    )
    assert next(both) != pytest.approx(next(both), rel=1e-3)


def test_unknown_tissues_do_not_train() -> None:
    output, target = batch(1.0, 1.0)
    logits = output["tissue_types"] = torch.randn(2, 19).requires_grad_()
    assert "tissue" not in cellvit_loss(output, target)
    target["tissue"] = torch.tensor([-1, 4])
    cellvit_loss(output, target)["tissue"].backward()
    assert logits.grad is not None
    assert not logits.grad[0].any()
    assert logits.grad[1].any()
    target["tissue"] = torch.tensor([-1, -1])
    assert cellvit_loss(output, target)["tissue"].item() == 0


def test_half_precision_is_summed_in_float32() -> None:
    output, target = batch(1.0, 1.0)
    half = {name: value.bfloat16() for name, value in output.items()}
    exact = cellvit_loss({name: value.float() for name, value in half.items()}, target)
    with torch.autocast("cpu", torch.bfloat16):
        terms = cellvit_loss(half, target)
    for name, value in terms.items():
        assert value.dtype == torch.float32
        assert value.item() == pytest.approx(exact[name].item(), rel=1e-6)


def test_a_weighted_class_counts_as_often_in_the_cross_entropy() -> None:
    output, target = by_hand()
    weighted = cellvit_loss(output, target, only(nt_cross_entropy=1, nt_classes=(1.0, 3.0)))
    # half of the pixels are of each class, and the logits say nothing
    assert weighted["nt"].item() == pytest.approx((1 + 3) / 2 * LOG2, rel=1e-4)


def test_class_weights_that_do_not_fit_are_refused() -> None:
    with pytest.raises(RegdataError, match=r"nt_classes with 2 weights.*got 3"):
        cellvit_loss(*by_hand(), only(nt_classes=(1.0, 1.0, 1.0)))


def typed_patches() -> Tensor:
    """(1, 3, 4, 4) one-hot: the left patch has 1 pixel of class 1, the right 3 of class 2."""
    types = torch.zeros(4, 4, dtype=torch.long)
    types[0, 0] = 1
    types[0, 2:] = types[1, 2] = 2
    return torch.nn.functional.one_hot(types, 3).permute(2, 0, 1)[None].float()


def test_token_entropy_by_hand() -> None:
    logits = torch.zeros(1, 3, 2, 2)
    logits[0, 1, 0, 0] = 2.0  # the left token leans to class 1
    said = torch.tensor([2.0, 0, 0]).log_softmax(0)[0].neg().item()
    log3 = torch.log(torch.tensor(3.0)).item()
    assert token_entropy(logits, typed_patches()).item() == pytest.approx((said + 3 * log3) / 4)
    weights = torch.tensor([7.0, 6.0, 1.0])
    weighted = token_entropy(logits, typed_patches(), weights).item()
    assert weighted == pytest.approx((6 * said + 3 * log3) / 9)


def test_tokens_without_nuclei_answer_for_nothing() -> None:
    logits = torch.randn(1, 3, 2, 2, requires_grad=True)
    token_entropy(logits, typed_patches()).sum().backward()
    assert logits.grad is not None
    assert logits.grad[0, :, 0].any(0).all()
    assert not logits.grad[0, :, 1].any()
    assert token_entropy(logits, torch.zeros(1, 3, 4, 4)).item() == 0


def test_the_token_head_is_trained_where_there_are_classes() -> None:
    output, target = by_hand()
    output["token_types"] = torch.zeros(1, 2, 1, 1)
    terms = cellvit_loss(output, target, only(token=2))
    assert terms["token"].item() == pytest.approx(2 * LOG2, rel=1e-4)
    target["type_weight"] = torch.zeros(1)
    assert cellvit_loss(output, target, only(token=2))["token"].item() == 0
