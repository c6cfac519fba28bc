"""Why something cannot be done, for a page: it says what to do there, where a command line names flags."""

import re
from pathlib import Path

from pigeonhole.errors import UsageError
from pigeonhole.model.export import web_runtime
from pigeonhole.runs import creation

FLAG = re.compile(r"(?<!\S)--[a-z][\w-]* ?")
# What is mended by a flag, and from a page otherwise.
MENDS = {
    "--classes": "label more of its pictures, or none",
    "--force": "a new training takes them as they are now",
}


def reason(told: str) -> str:
    """The line by which a command says why it has failed, without the flags that it names."""
    first, *others = told.split("; ")
    kept = [FLAG.sub("", first)]
    for clause in others:
        flag = FLAG.search(clause)
        kept.append(MENDS.get(flag[0].strip(), "") if flag else clause)
    return "; ".join(filter(None, kept))


def check_output(folder: Path) -> None:
    """Raise UsageError where no run can be written into the folder."""
    try:
        creation.check_output(folder)
    except UsageError as error:
        why = reason(str(error)).rpartition("; ")[0]
        raise UsageError(f"No model can be saved in {why}. Mend that, and try again.") from error


def check_web() -> None:
    """Raise UsageError where this computer lacks what a model answers by in a browser."""
    try:
        web_runtime.read()
    except UsageError as error:
        package = f"{web_runtime.PACKAGE}@{web_runtime.VERSION}"
        raise UsageError(
            f"A web page answers by {package}, which is not on this computer. Run `npm pack {package}` on "
            f"any that has Node.js, put {web_runtime.ARCHIVE} into the folder {Path.cwd()}, and try again."
        ) from error
