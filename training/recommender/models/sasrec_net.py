"""The network: a causal transformer over a user's history (SASRec, Kang and McAuley 2018), pre-norm, tied embeddings.

A post is the sum of an embedding of its id and embeddings of what it is: author, language, community, topics. Ids are
dropped at random while training, because most posts met later are new: for those the content alone has to speak.
Knows nothing about states and views: integer tensors in, vectors out. Row 0 of every table is "none" and stays zero.
"""

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

BUCKETS = (4096, 32, 512, 1024)
"""Rows for hashed authors, languages, communities, topics."""


@dataclass(frozen=True)
class NetShape:
    """Sizes of the network."""

    posts: int
    width: int
    blocks: int
    heads: int
    length: int
    prior: int

    def as_dict(self) -> dict[str, int]:
        """For JSON."""
        return asdict(self)


class Block(nn.Module):
    """Pre-norm attention and feed-forward."""

    def __init__(self, shape: NetShape, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = shape.heads, dropout
        self.norm1, self.norm2 = nn.LayerNorm(shape.width), nn.LayerNorm(shape.width)
        self.qkv = nn.Linear(shape.width, 3 * shape.width, bias=False)
        self.out = nn.Linear(shape.width, shape.width, bias=False)
        self.up, self.down = nn.Linear(shape.width, 4 * shape.width), nn.Linear(4 * shape.width, shape.width)

    def forward(self, x: Tensor) -> Tensor:
        """[batch, length, width] to the same."""
        return self.read(x)[0]

    def read(
        self, x: Tensor, before: Tensor | None = None, seen: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """As `forward`, with the keys and values [2, batch, heads, length, width / heads] of the steps `x`.

        `before`: keys and values of earlier steps; `seen` [batch, 1, length, before + length]: what each step sees.
        """
        batch, length, width = x.shape
        qkv = (
            self.qkv(self.norm1(x))
            .view(batch, length, 3, self.heads, width // self.heads)
            .permute(2, 0, 3, 1, 4)
        )
        drop = self.dropout if self.training else 0.0
        known = qkv[1:] if before is None else torch.cat([before, qkv[1:]], dim=3)
        mixed = functional.scaled_dot_product_attention(
            qkv[0], known[0], known[1], attn_mask=seen, dropout_p=drop, is_causal=seen is None
        )
        x = x + functional.dropout(self.out(mixed.transpose(1, 2).reshape(batch, length, width)), drop)
        return x + functional.dropout(self.down(functional.gelu(self.up(self.norm2(x)))), drop), qkv[1:]


class SasrecNet(nn.Module):
    """Histories and posts to vectors whose dot product is the logit of acting next."""

    def __init__(self, shape: NetShape, dropout: float = 0.0) -> None:
        super().__init__()
        self.shape, self.dropout = shape, dropout
        self.post = nn.Embedding(shape.posts + 1, shape.width)
        self.content = nn.ModuleList(nn.Embedding(rows, shape.width) for rows in BUCKETS)
        self.place = nn.Embedding(shape.length, shape.width)
        self.blocks = nn.ModuleList(Block(shape, dropout) for _ in range(shape.blocks))
        self.norm = nn.LayerNorm(shape.width)
        self.prior = nn.Parameter(torch.full((shape.prior,), 1.0 / shape.prior))
        for table in (self.post, self.place, *self.content):
            nn.init.normal_(table.weight, std=0.02)
        with torch.no_grad():
            for table in (self.post, *self.content):
                table.weight[0] = 0.0

    def tower(self, post: Tensor, content: Tensor, drop_id: float = 0.0) -> Tensor:
        """Vectors [n, width] of posts given ids [n] (0: new) and hashed content [n, 3 + topics] (0: none)."""
        ids = self.post(post)
        if drop_id > 0.0:
            ids = ids * (torch.rand(len(post), 1) >= drop_id)
        author, lang, community, topic = self.content
        topics = content[:, 3:]
        named = (topics > 0).unsqueeze(-1)
        mean = (topic(topics) * named).sum(1) / named.sum(1).clamp(min=1)
        known = (content[:, :3] > 0).unsqueeze(-1)
        own = torch.stack([author(content[:, 0]), lang(content[:, 1]), community(content[:, 2])], dim=1)
        return ids + (own * known).sum(1) + mean

    def encode(self, vectors: Tensor) -> Tensor:
        """[batch, length, width]: after each step of histories that start at step 0, given the posts' vectors.

        Steps are counted from the oldest post on, so a short history looks the same in training and in use; padding
        comes last, and causal attention never sees it.
        """
        drop = self.dropout if self.training else 0.0
        x = vectors * self.shape.width**0.5 + self.place.weight[: vectors.shape[1]]
        x = functional.dropout(x, drop)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)

    def read(self, vectors: Tensor) -> tuple[Tensor, list[Tensor]]:
        """`encode`, and the keys and values of every block."""
        x, kept = vectors * self.shape.width**0.5 + self.place.weight[: vectors.shape[1]], []
        for block in self.blocks:
            assert isinstance(block, Block)
            x, known = block.read(x)
            kept.append(known)
        return self.norm(x), kept

    def read_on(self, vectors: Tensor, steps: Tensor, before: list[Tensor], sizes: Tensor) -> Tensor:
        """[batch, length, width] after each step of `vectors` [batch, length, width], which stand at `steps` of
        histories whose first `sizes` [batch] steps were read before: `before`, as `read` gives it.
        """
        x = vectors * self.shape.width**0.5 + self.place.weight[steps]
        length, old = vectors.shape[1], before[0].shape[3]
        earlier = (torch.arange(old) < sizes[:, None])[:, None, None, :].expand(-1, 1, length, old)
        own = torch.ones(length, length, dtype=torch.bool).tril().expand(x.shape[0], 1, length, length)
        seen = torch.cat([earlier, own], dim=3)
        for block, known in zip(self.blocks, before, strict=True):
            assert isinstance(block, Block)
            x, _ = block.read(x, known, seen)
        return self.norm(x)
