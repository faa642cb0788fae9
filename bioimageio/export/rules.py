"""The rules for a package that DeepImageJ runs and the zoo accepts, checked on anyone's package."""

from __future__ import annotations

from pathlib import Path

from relumen.errors import UserError
from relumen.rdf import read_rdf

from .rule import Content, Rule, RuleResult
from .rules_files import FILE_RULES
from .rules_tensors import TENSOR_RULES
from .rules_text import TEXT_RULES
from .rules_weights import WEIGHTS_RULES

RULES: tuple[Rule, ...] = (*TENSOR_RULES, *TEXT_RULES, *WEIGHTS_RULES, *FILE_RULES)


def check_rules(folder: Path) -> list[RuleResult]:
    """Checks every rule on a package's folder; only rdf.yaml and the package's own files are read.

    Args:
        folder: where rdf.yaml lies.

    Returns:
        For each rule one result when it holds, or one for each fault. Where rdf.yaml itself cannot be read,
        that is the only result.
    """
    try:
        content = Content(folder, read_rdf(folder))
    except UserError as error:
        return [RuleResult("rdf", "failed", str(error))]
    results = [RuleResult("rdf", "passed", "rdf.yaml can be read")]
    for rule in RULES:
        results.extend(rule.results(content))
    return results
