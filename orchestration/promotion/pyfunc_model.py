"""The MLflow model of a bundle, as models-from-code: MLflow runs this file when it loads a version.

Recommenders answer over the state that lies frozen in the bundle, as on the day they were trained; a server answers
over the live one.
"""

from pathlib import Path
from typing import Any

import mlflow.pyfunc
import pandas as pd
from mlflow.models import set_model


class BundleModel(mlflow.pyfunc.PythonModel):
    """Verifies the bundle when it is loaded and answers through the same engines as the server."""

    def load_context(self, context: Any) -> None:
        """Open the bundle. Raises BundleError when a file does not match the manifest."""
        from serving.models import trained
        from training.bundle import open_bundle

        bundle = open_bundle(Path(context.artifacts["bundle"]))
        loaders = trained()
        self.kind = bundle.kind
        if bundle.kind == "recommender":
            self.engine: Any = loaders.recommender(bundle).on(loaders.state(bundle.path / "state"))
        else:
            self.engine = loaders.generator(bundle)

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> list[Any]:
        """One answer a row: a list of `{post_id, score, reasons}` for `user_id`, or the text that follows `prompt`."""
        rows = model_input.to_dict("records")
        if self.kind == "recommender":
            return self._recommend(rows)
        return [self._generate(row) for row in rows]

    def _recommend(self, rows: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
        from training.recommender.feed.messages import Request

        found = self.engine.answer(
            [Request(str(row["user_id"]), int(row.get("k") or 20), plain=True) for row in rows]
        )
        return [
            [
                {"post_id": item.post_id, "score": item.score, "reasons": item.reasons}
                for item in ranking.items
            ]
            for ranking in found
        ]

    def _generate(self, row: dict[str, Any]) -> str:
        from serving.models import Sampling

        sampling = Sampling(max_tokens=int(row.get("max_tokens") or 64), temperature=0.0, seed=0)
        return "".join(self.engine.generate(str(row["prompt"]), sampling).pieces)


set_model(BundleModel())
