"""Presidio's own recognisers over the texts of a JSON list on stdin, without a model: [[kind, start, end], ...] each.

Languages other than English have no recognisers by default; Chinese texts are read as English ones, its best chance.
"""

import json
import sys
import time

import spacy
from presidio_analyzer import AnalyzerEngine
from presidio_analyzer.nlp_engine import NerModelConfiguration, SpacyNlpEngine

KINDS = {
    "EMAIL_ADDRESS": "email",
    "PHONE_NUMBER": "phone",
    "US_SSN": "id",
    "CREDIT_CARD": "card",
    "IBAN_CODE": "iban",
    "IP_ADDRESS": "ip",
}


class Blank(SpacyNlpEngine):
    """A tokenizer and nothing else."""

    def __init__(self) -> None:
        super().__init__(ner_model_configuration=NerModelConfiguration())
        self.nlp = {"en": spacy.blank("en")}


def main() -> None:
    """Write the spans and the processor time they took."""
    texts = json.load(sys.stdin)
    analyzer = AnalyzerEngine(nlp_engine=Blank(), supported_languages=["en"])
    analyzer.analyze("warm", "en")
    began, spans = time.process_time(), []
    for text in texts:
        results = analyzer.analyze(text, "en", entities=list(KINDS), score_threshold=0.3)
        spans.append([[KINDS[found.entity_type], found.start, found.end] for found in results])
    json.dump({"spans": spans, "seconds": time.process_time() - began}, sys.stdout)


if __name__ == "__main__":
    main()
