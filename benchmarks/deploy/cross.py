"""C forms on microcontrollers: bytes and stack of the compiled code, and instructions when run."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.shared.compiling import run

#: Options of arm-none-eabi-gcc by processor: without and with floating-point instructions.
TARGETS = {
    "Cortex-M0+": ("-mcpu=cortex-m0plus",),
    "Cortex-M4": ("-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"),
}

_COMPILER = "arm-none-eabi-gcc"

_START = """\
volatile float kept;
void _start(void)
{
    kept = predict_once();
    {
        register int r0 __asm__("r0") = 0;
        register int r7 __asm__("r7") = 1;
        __asm__ volatile("svc 0" ::"r"(r0), "r"(r7));
    }
}
"""


@dataclass(frozen=True)
class Compiled:
    """A prediction on one processor.

    Parameters
    ----------
    flash : int
        Bytes of the object file's code and constants, without functions of the libraries.
    ram : int
        Bytes of its stack and variables, without those of the libraries.
    linked : int
        Bytes of code and constants with the functions of the libraries.
    instructions : int
        For one sample; 0 where QEMU is not installed.
    """

    flash: int
    ram: int
    linked: int
    instructions: int


def available() -> bool:
    """Whether the cross compiler is installed."""
    return shutil.which(_COMPILER) is not None


def compiled(
    header: str, call: str, processor: str, folder: Path, include: Path | None = None
) -> Compiled:
    """Compile and run a C expression that predicts one sample.

    Parameters
    ----------
    header : str
        What the expression needs.
    call : str
        The expression, a float.
    processor : str
        One of `TARGETS`.
    folder : Path
    include : Path, optional
        Folder of further headers.
    """
    flags = ["-std=gnu99", "-Os", "-mthumb", *TARGETS[processor], "-ffunction-sections",
             "-fdata-sections", *([f"-I{include}"] if include else [])]  # fmt: skip
    source = folder / "cross.c"
    function = (
        f"{header}\nfloat predict_once(void);\nfloat predict_once(void) {{ return {call}; }}\n"
    )
    source.write_text(function)
    target = folder / "cross.o"
    run([_COMPILER, *flags, "-fcallgraph-info=su", "-c", source, "-o", target])
    flash, variables = _sizes(target)
    ram = variables + _stack((folder / "cross.ci").read_text())
    source.write_text(function + _START)
    program = folder / "cross.elf"
    run([_COMPILER, *flags, "-nostartfiles", "-Wl,--gc-sections", "--specs=nano.specs", source,
         "-o", program, "-lm"])  # fmt: skip
    return Compiled(flash, ram, _sizes(program)[0], _instructions(program))


def _sizes(file: Path) -> tuple[int, int]:
    """Bytes of code and constants, and of variables, of which some have constants to start with."""
    text, data, bss = map(int, run(["arm-none-eabi-size", file]).splitlines()[1].split()[:3])
    return text + data, data + bss


def _stack(graph: str) -> int:
    """Bytes of the stack on the deepest way from `predict_once`, in a call graph of gcc."""
    frames = {
        title: int(n_bytes)
        for title, n_bytes in re.findall(r'title: "([^"]+)" label: "[^"]*?(\d+) bytes', graph)
    }
    calls = re.findall(r'sourcename: "([^"]+)" targetname: "([^"]+)"', graph)

    def deepest(name: str, above: frozenset[str] = frozenset()) -> int:
        below = {to for caller, to in calls if caller == name and to not in above}
        found = max((deepest(to, above | {name}) for to in below), default=0)
        return frames.get(name, 0) + found

    return deepest(next(title for title in frames if title.endswith("predict_once")))


def _instructions(program: Path) -> int:
    """Instructions that a program takes, each of which QEMU reports as a block of its own."""
    if shutil.which("qemu-arm") is None:
        return 0
    command = ["qemu-arm", "-singlestep", "-d", "nochain,exec", program]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as running:
        assert running.stderr is not None
        return sum(line.startswith(b"Trace") for line in running.stderr)
