"""What the commands say: two consoles, exit codes, problems in words."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console

from hub.problem import Problem

DONE, REFUSED, FAILED = 0, 2, 3

out = Console(highlight=False, markup=False, emoji=False)
err = Console(stderr=True, highlight=False, markup=False, emoji=False)

_SIGNS = {"error": ("x", "red"), "question": ("?", "yellow"), "warning": ("!", "blue")}


def show_problems(problems: Iterable[Problem]) -> None:
    for problem in problems:
        show_problem(problem)


def show_problem(problem: Problem) -> None:
    sign, style = _SIGNS[problem.severity]
    err.print(f"{sign} {problem.where}: {problem.found}", style=style)
    err.print(f"    expected {problem.expected}. {problem.todo}".rstrip())
    if problem.choices:
        err.print(f"    answer with one of: {'; '.join(problem.choices)}")
