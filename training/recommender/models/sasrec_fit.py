"""Training SASRec: full softmax over the posts known at each event, early stopping on validation NDCG, in a budget."""

import copy
import os
import time
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from training.recommender.arrays import Ints
from training.recommender.config import SasrecConfig
from training.recommender.models.sasrec import PRIOR, SasrecSignal
from training.recommender.models.sasrec_data import Examples
from training.recommender.models.sasrec_net import NetShape, SasrecNet
from training.recommender.ranking import TOP, ndcg
from training.result import Progress, Report, no_report
from training.threads import torch_threads

_CELLS = 10_000_000
_PRIOR_EVENTS = 1000
_WARM_UP = 20


def fit_sasrec(
    examples: Examples,
    config: SasrecConfig,
    seed: int,
    progress: Progress,
    report: Report = no_report,
) -> tuple[SasrecSignal, list[dict[str, float]]]:
    """Train until the validation NDCG has not risen for `patience` epochs, or the time or the epochs are used up.

    Returns the best epoch's weights and the curves: `train/loss`, `validation/loss` and `sample/ndcg_at_10` by epoch.
    Raises ValueError when `heads` does not divide `width`.
    """
    if config.width % config.heads:
        raise ValueError(f"{config.heads} heads do not divide a width of {config.width}")
    deadline = time.monotonic() + config.max_seconds
    rng = np.random.default_rng(seed)
    # Half of the cores: a barrier on all of them waits for whatever else runs there.
    threads = max(1, (os.cpu_count() or 1) // 2)
    with torch_threads(threads), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        shape = NetShape(examples.trained, config.width, config.blocks, config.heads, config.length, PRIOR)
        net = SasrecNet(shape, config.dropout)
        _fit_prior(net, examples)
        loss, value = _validate(net, examples)
        best, best_value, waited = copy.deepcopy(net.state_dict()), value, 0
        curves = [{"step": 0, "validation/loss": loss, "sample/ndcg_at_10": value}]
        optimizer = _optimizer(net, config)
        warm_up = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / _WARM_UP))
        for epoch in range(1, config.max_epochs + 1):
            train_loss = _epoch(net, examples, config, optimizer, warm_up, rng, deadline)
            loss, value = _validate(net, examples)
            curves.append(
                {"step": epoch, "train/loss": train_loss, "validation/loss": loss, "sample/ndcg_at_10": value}
            )
            progress(f"sasrec: epoch {epoch}, loss {train_loss:.3f}, validation NDCG@10 {value:.4f} (sample)")
            report("sasrec", epoch, value)
            waited += 1
            if value > best_value:
                best, best_value, waited = copy.deepcopy(net.state_dict()), value, 0
            if waited >= config.patience or time.monotonic() > deadline:
                break
        net.load_state_dict(best)
    return SasrecSignal(net, examples.names), curves


def _fit_prior(net: SasrecNet, examples: Examples) -> None:
    """Start from popularity: the prior's few weights alone, by maximum likelihood on the latest events."""
    used = np.argwhere(examples.moment[:, 1:] >= 0)
    when = examples.moment[used[:, 0], used[:, 1] + 1]
    size = max(64, min(_PRIOR_EVENTS, _CELLS // examples.trained))
    rows, steps = used[np.argsort(when, kind="stable")[-size:]].T
    target = torch.from_numpy(examples.window[rows, steps + 1])
    moment = examples.moment[rows, steps + 1]
    search = torch.optim.LBFGS([net.prior], max_iter=30, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        search.zero_grad()
        logits = _with_prior(net, examples, torch.zeros(len(moment), examples.trained), moment)
        loss = functional.cross_entropy(logits, target)
        torch.autograd.backward(loss, inputs=[net.prior])
        return loss

    search.step(closure)


def _optimizer(net: SasrecNet, config: SasrecConfig) -> torch.optim.Optimizer:
    """AdamW; the few numbers of the prior have to move far, so they move faster and undecayed."""
    slow = [value for name, value in net.named_parameters() if name != "prior"]
    groups = [
        {"params": slow, "weight_decay": config.weight_decay},
        {"params": [net.prior], "lr": 10 * config.learning_rate, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.98))


def _epoch(
    net: SasrecNet,
    examples: Examples,
    config: SasrecConfig,
    optimizer: torch.optim.Optimizer,
    warm_up: torch.optim.lr_scheduler.LRScheduler,
    rng: np.random.Generator,
    deadline: float,
) -> float:
    net.train()
    content = torch.from_numpy(examples.content[: examples.trained])
    total, events = 0.0, 0
    for rows in _batches(examples, rng):
        tower = net.tower(torch.arange(1, examples.trained + 1), content, config.drop_id)
        loss, count = _loss(net, examples, tower, rows)
        optimizer.zero_grad()
        (loss / count).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        warm_up.step()
        total, events = total + float(loss.detach()), events + count
        if time.monotonic() > deadline:
            break
    return total / max(events, 1)


def _batches(examples: Examples, rng: np.random.Generator) -> Iterator[Ints]:
    """Windows of like length together (no work on padding), so many that the logits fit a fixed memory."""
    losses = (examples.moment[:, 1:] >= 0).sum(axis=1)
    lengths = (examples.window >= 0).sum(axis=1)
    order = np.lexsort((rng.random(len(losses)), lengths))
    limit = min(2048, max(64, _CELLS // examples.trained))
    batch = np.cumsum(losses[order]) // limit
    parts = np.split(order, np.flatnonzero(batch[1:] != batch[:-1]) + 1)
    for index in rng.permutation(len(parts)):
        if len(parts[index]):
            yield parts[index]


def _loss(net: SasrecNet, examples: Examples, tower: Tensor, rows: Ints) -> tuple[Tensor, int]:
    """Summed cross-entropy of the next posts over the posts known at their refreshes, and how many there were."""
    width = int((examples.window[rows] >= 0).sum(axis=1).max())
    window = torch.from_numpy(examples.window[rows, :width])
    moment = torch.from_numpy(examples.moment[rows, :width])[:, 1:]
    hidden = net.encode(tower[window[:, :-1].clamp(min=0)])
    used = moment >= 0
    logits = _with_prior(net, examples, hidden[used] @ tower.T, moment[used].numpy())
    return functional.cross_entropy(logits, window[:, 1:][used], reduction="sum"), int(used.sum())


def _with_prior(net: SasrecNet, examples: Examples, logits: Tensor, moment: Ints) -> Tensor:
    """Add the prior of each row's refresh, and take out posts not known then. logits [n, posts], moment [n]."""
    moments = examples.moments
    prior = torch.from_numpy(moments.prior[moment]) @ net.prior
    logits = logits.scatter_add(1, torch.from_numpy(moments.post[moment]), prior)
    unknown = torch.arange(logits.shape[1])[None, :] >= torch.from_numpy(moments.known[moment])[:, None]
    return logits.masked_fill(unknown, float("-inf"))


@torch.inference_mode()
def _validate(net: SasrecNet, examples: Examples) -> tuple[float, float]:
    """Mean loss and NDCG@10 of the validation events; a post that was not known counts as a miss, without a loss."""
    net.eval()
    if len(examples.late_post) == 0:
        return 0.0, 0.0
    ids = np.arange(1, len(examples.content) + 1)
    ids[examples.trained :] = 0
    tower = net.tower(torch.from_numpy(ids), torch.from_numpy(examples.content))
    losses, gains = [], []
    size = max(1, _CELLS // len(ids))
    for start in range(0, len(examples.late_post), size):
        part = slice(start, start + size)
        history, target = examples.late_history[part], examples.late_post[part]
        sizes = (history >= 0).sum(axis=1)
        hidden = net.encode(tower[torch.from_numpy(np.maximum(history, 0))])
        last = hidden[torch.arange(len(sizes)), torch.from_numpy(np.maximum(sizes - 1, 0))]
        last = last * torch.from_numpy(sizes > 0).unsqueeze(1)
        logits = _with_prior(net, examples, last @ tower.T, examples.late_moment[part])
        known = (target >= 0) & (target < examples.moments.known[examples.late_moment[part]])
        logits, seen, wanted = (
            logits[known],
            torch.from_numpy(history[known]),
            torch.from_numpy(target[known]),
        )
        losses.append(functional.cross_entropy(logits, wanted, reduction="none"))
        user, place = torch.nonzero(seen >= 0, as_tuple=True)
        logits[user, seen[user, place]] = float("-inf")
        rank = (logits > logits.gather(1, wanted[:, None])).sum(dim=1).numpy()
        gains.append(np.r_[ndcg(rank.astype(np.float64), TOP), np.zeros(int((~known).sum()))])
    return float(torch.cat(losses).mean()) if losses else 0.0, float(np.concatenate(gains).mean())
