"""The cells of a labelled table as tokens: attention over columns, then over rows."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from metajax.nn.attention import attend, key_bias
from metajax.types import PyTree


class CellTransformer(nn.Module):
    """A network that reads a labelled table and fills in labels, in one pass and without training.

    Every cell is a token, those of the labels too. In each block a token attends to the tokens of
    its row, then to its column's tokens in the support rows, then passes a layer of its own; all
    weights are shared by all cells of a sort. So no order of rows, columns or outputs has a
    meaning, a new table may have any number of each, and a row that is not of the support is judged
    alone. An output starts as the linear vote ``sum_f z_f r_f / sqrt(F)``, r_f being the column's
    correlation with the output: the blocks learn what that lacks.

    Attributes:
      width: of the tokens, a multiple of `heads`.
      blocks: number of blocks, 1 or more.
      heads: of every attention.

    Raises:
      ValueError: if the heads do not divide the width.

    Reference: Hollmann et al. 2025, "TabPFN v2", https://doi.org/10.1038/s41586-024-08328-6, for
      attention over the columns and the rows of cells.
    """

    width: int = 32
    blocks: int = 3
    heads: int = 2

    @nn.compact
    def __call__(
        self, x: dict[str, jax.Array], y: jax.Array, known: jax.Array, table: dict[str, PyTree]
    ) -> tuple[jax.Array, PyTree]:
        """Reads N rows of a table: its support and any others, or others once it was read.

        Args:
          x: over F columns, as `metajax.nn.SetEncoder` takes it.
          y: (N, C) labels of moderate size, not looked at where they are not known.
          known: (N, C) 1 where the label is known; 0 throughout in rows to be judged.
          table: ``weight`` (S,) of the support rows, 0 where padded (a row of weight 2 counts as
            two rows), ``present`` (C,) 1 for outputs that exist in the task, and ``memory``, what
            the support left in every block; without it the first S rows are the support.

        Returns:
          (N, C, 2): scores, and free numbers for a spread, 0 at the start; and the memory.
        """
        if self.width % self.heads:
            raise ValueError(f"{self.heads} heads do not divide the width {self.width}")
        feature = x["feature"] > 0
        z = jnp.where(feature, x["z"], 0.0)
        relevance = jnp.where(feature[..., None], x["relevance"], 0.0)
        vote = (z[..., None] * relevance).sum(1) / jnp.sqrt(jnp.maximum(feature.sum(1), 1))[:, None]
        size = jnp.broadcast_to(jnp.log1p(table["weight"].sum()), y.shape)
        cells = [z, jnp.tanh(z), jnp.where(feature, x["missing"], 0.0), (relevance**2).sum(-1)]
        labels = [jnp.where(known > 0, y, 0.0), known.astype(y.dtype), vote, size]
        # (N, T, width), T = F + C.
        tokens = jnp.concatenate([self._embed("cells", cells), self._embed("labels", labels)], 1)
        there = jnp.concatenate([feature, jnp.broadcast_to(table["present"] > 0, y.shape)], 1)
        columns, rows = key_bias(there.astype(y.dtype)), key_bias(table["weight"])
        # One block compiled, however many there are.
        scan = nn.scan(
            _Block,
            variable_axes={"params": 0},
            split_rngs={"params": True},
            in_axes=(nn.broadcast, nn.broadcast, 0),
            length=self.blocks,
        )
        blocks = scan(self.width, self.heads, name="blocks")
        tokens, memory = blocks(tokens, columns, rows, table.get("memory"))
        last = nn.LayerNorm(name="norm")(tokens[:, feature.shape[1] :])
        shift, gain, spread = jnp.moveaxis(
            nn.Dense(3, kernel_init=nn.initializers.zeros, name="last")(last), -1, 0
        )
        score = shift + jnp.logaddexp(gain + jnp.log(jnp.e - 1), 0.0) * vote
        return jnp.stack([score, spread], -1), memory

    def _embed(self, name: str, parts: list[jax.Array]) -> jax.Array:
        """Tokens of cells; they are normalised, so a bias keeps that of a column's mean from 0."""
        bias = nn.initializers.normal(1.0)
        return nn.Dense(self.width, bias_init=bias, name=name)(jnp.stack(parts, -1))


class _Block(nn.Module):
    """Attention over the columns, attention to the support rows, and a layer of its own."""

    width: int
    heads: int

    @nn.compact
    def __call__(self, tokens: jax.Array, columns: jax.Array, rows: jax.Array, memory: PyTree):
        def heads(name: str, tokens: jax.Array) -> jax.Array:
            return nn.DenseGeneral((self.heads, self.width // self.heads), name=name)(tokens)

        normed = nn.LayerNorm()(tokens)
        parts = (heads(f"columns_{part}", normed) for part in ("query", "key", "value"))
        tokens += nn.Dense(self.width, name="columns")(attend(*parts, columns))
        normed = nn.LayerNorm()(tokens).swapaxes(0, 1)
        if memory is None:
            support = normed[:, : len(rows)]
            memory = heads("rows_key", support), heads("rows_value", support)
        seen = attend(heads("rows_query", normed), *memory, rows)
        tokens += nn.Dense(self.width, name="rows")(seen.swapaxes(0, 1))
        hidden = nn.gelu(nn.Dense(2 * self.width, name="up")(nn.LayerNorm()(tokens)))
        return tokens + nn.Dense(self.width, name="down")(hidden), memory
