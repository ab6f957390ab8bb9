import numpy as np
import pytest
import torch

from tests.training.generator.world import outspoken, tiny
from training.generator.config import FitConfig, TransformerConfig
from training.generator.export import build_network
from training.generator.llama import LlamaNetwork
from training.generator.muon import Muon, orthogonal
from training.generator.steps import Rows, Steps
from training.generator.transformer import TransformerNetwork

SIZE = 40


def network(**change: int) -> TransformerNetwork:
    """Fresh weights, except that what begins at zero does not."""
    torch.manual_seed(2)
    made = TransformerNetwork(SIZE, TransformerConfig(**(tiny().transformer.model_dump() | change))).eval()
    outspoken(made)
    return made


def test_a_text_in_pieces_reads_as_the_whole() -> None:
    net, tokens = network(layers=2), torch.randint(SIZE, (3, 20))
    whole, _ = net(tokens)
    state, parts = None, []
    for piece in (tokens[:, :1], tokens[:, 1:8], tokens[:, 8:]):
        hidden, state = net(piece, state)
        parts.append(hidden)
    assert torch.allclose(torch.cat(parts, dim=1), whole, atol=1e-5)


def test_rows_leave_and_join_with_their_own_pasts() -> None:
    net = network(layers=2)
    texts = [torch.randint(SIZE, (1, length)) for length in (4, 9, 6)]
    _, first = net(torch.cat([texts[0], texts[0]]))
    _, second = net(texts[1])
    _, third = net(texts[2])
    state = first.take(torch.tensor([1])).join(second).join(third).take(torch.tensor([2, 0, 1]))
    new = torch.randint(SIZE, (3, 5))
    hidden, _ = net(new, state)
    for row, text in enumerate((texts[2], texts[0], texts[1])):
        alone, _ = net(torch.cat([text, new[row : row + 1]], dim=1))
        assert torch.allclose(hidden[row], alone[0, -5:], atol=1e-5)


def test_no_position_sees_what_follows_it() -> None:
    net, tokens = network(layers=2), torch.randint(SIZE, (1, 16))
    changed = tokens.clone()
    changed[0, 10:] = (changed[0, 10:] + 1) % SIZE
    before, after = net(tokens)[0], net(changed)[0]
    assert torch.equal(before[:, :10], after[:, :10])
    assert not torch.allclose(before[:, 10], after[:, 10])


def test_heads_that_do_not_fit_the_width_are_refused() -> None:
    with pytest.raises(ValueError, match="3 heads do not divide a width of 16"):
        network(heads=3)


def test_networks_of_earlier_bundles_are_built_as_they_were() -> None:
    sizes = {
        "width": 16, "layers": 1, "heads": 2, "feed_forward": 32, "dropout": 0.0, "initial_std": 0.08,
        "learning_rate": 3e-3, "weight_decay": 0.1, "max_seconds": 30.0, "max_steps": 9, "row_tokens": 24,
        "batch_rows": 4,
    }  # fmt: skip
    net = build_network("transformer", SIZE, sizes)
    assert isinstance(net, LlamaNetwork)
    assert net.eval()(torch.zeros(1, 3, dtype=torch.int64))[0].shape == (1, 3, 16)


def test_half_precision_hardly_moves_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    config = TransformerConfig(width=96, layers=1, heads=2, feed_forward=96, row_tokens=16)
    rows = Rows(*np.random.default_rng(0).integers(SIZE, size=(3, 4, 16)))
    after = []
    for pays in (False, True):
        monkeypatch.setattr("training.generator.steps.half_precision_pays", lambda pays=pays: pays)
        torch.manual_seed(2)
        net = TransformerNetwork(SIZE, config)
        with Steps(net, config, FitConfig(), None, 2) as steps:
            losses = [steps.step(rows, 1.0) for _ in range(5)]
        after.append(losses[-1])
    assert after[0] != after[1]
    assert after[0] == pytest.approx(after[1], rel=0.02)
    assert after[0] < 0.9 * losses[0]


@pytest.mark.parametrize("shape", [(12, 5), (5, 12), (8, 8)])
def test_a_matrix_is_brought_near_an_orthogonal_one_of_the_same_directions(shape: tuple[int, int]) -> None:
    torch.manual_seed(1)
    matrix = torch.randn(shape)
    values = torch.linalg.svdvals(orthogonal(100 * matrix))
    assert ((values > 0.6) & (values < 1.3)).all()
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    kept = left.T @ orthogonal(matrix) @ right.T
    assert (kept.diag() > 0.6).all()
    assert torch.allclose(kept, torch.diag(kept.diag()), atol=1e-3)


def test_a_matrix_that_nothing_pulls_on_decays_by_rate_times_decay() -> None:
    matrix = torch.nn.Parameter(torch.ones(4, 3))
    optimiser = Muon([matrix], lr=0.5, weight_decay=0.1)
    matrix.grad = torch.zeros(4, 3)
    optimiser.step()
    assert torch.allclose(matrix, torch.full((4, 3), 0.95))
