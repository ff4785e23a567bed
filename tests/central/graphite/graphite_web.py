"""Debian's graphite-web as the oracle: computes targets over given series. The system's own Python runs this file.

The argument is a folder for its logs. On standard input comes an object with "series" (numbers by path), "start" and
"step" (theirs), "from", "until" and "targets". On standard output go, for each target, the lines as [name, start, step,
numbers], or a text that says why there are none.
"""

import json
import os
import re
import sys
from datetime import UTC, datetime
from importlib import import_module
from typing import Any


def pattern(path: str) -> "re.Pattern[str]":
    """The regular expression of a path with ``*`` and ``{a,b}``."""
    text = re.escape(path).replace(r"\*", "[^.]*").replace(r"\{", "(?:").replace(r"\}", ")").replace(",", "|")
    return re.compile(text)


def main() -> None:
    """Compute all targets."""
    asked = json.load(sys.stdin)
    os.environ["DJANGO_SETTINGS_MODULE"] = "graphite.settings"
    os.environ["GRAPHITE_SETTINGS_MODULE"] = "none.at.all"
    sys.path.insert(0, "/usr/lib/python3/dist-packages")
    import_module("django.conf").settings.LOG_DIR = sys.argv[1]
    import_module("django").setup()
    evaluator: Any = import_module("graphite.render.evaluator")
    functions: Any = import_module("graphite.render.functions")
    datalib: Any = import_module("graphite.render.datalib")

    def fetch(context: Any, path: str) -> list[Any]:
        start = int(context["startTime"].timestamp())
        end = int(context["endTime"].timestamp())
        first, after = ((moment - asked["start"]) // asked["step"] for moment in (start, end))
        found = []
        for name in sorted(name for name in asked["series"] if pattern(path).fullmatch(name)):
            one = datalib.TimeSeries(
                name, start, end, asked["step"], asked["series"][name][first:after], xFilesFactor=0
            )
            one.pathExpression = path
            found.append(one)
        return found

    evaluator.prefetchData = lambda context, paths: None
    evaluator.fetchData = fetch
    functions.evaluateTarget = evaluator.evaluateTarget
    utc = import_module("pytz").utc
    answers: list[Any] = []
    for target in asked["targets"]:
        context = {
            "startTime": datetime.fromtimestamp(asked["from"], UTC),
            "endTime": datetime.fromtimestamp(asked["until"], UTC),
            "now": datetime.fromtimestamp(asked["until"], UTC),
            "tzinfo": utc,
            "data": [],
            "localOnly": True,
            "prefetch": {},
            "targets": [],
        }
        try:
            lines = evaluator.evaluateTarget(context, target)
        except Exception as error:
            answers.append(f"{type(error).__name__}: {error}")
            continue
        answers.append([[line.name, line.start, line.step, list(line)] for line in lines])
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
