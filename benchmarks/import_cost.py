"""What it costs to start ``card-station station``: CPU time and memory of its imports, beside two known stacks.

Beside it stand a bare interpreter, the lean stack (the hardware and network libraries that the project is built on,
with nothing of our own), and that stack with the JOSE library, which signs and seals. Run it on a quiet machine:

    .venv/bin/python benchmarks/import_cost.py
"""

import json
import os
import statistics
import subprocess
import sys

RUNS = 9
LEAN = (
    "import smartcard.scard, gpiozero, paho.mqtt.client, sqlite3, tomllib, json, logging, argparse;"
    "from luma.oled.device import ssd1306; from luma.core.interface.serial import i2c"
)
STACKS = {
    "bare interpreter": "pass",
    "lean stack (scard, gpiozero, paho, luma, sqlite3)": LEAN,
    "lean stack + joserfc (JWS, JWE, JWK)": f"{LEAN}; from joserfc import jws, jwe, jwk",
    "card-station station": "import appliance.cli, appliance.config, appliance.run.station, appliance.run.wiring",
    "reader worker": "import appliance.run.worker, appliance.hardware.pcsc",
    "card-station link": "import appliance.cli, appliance.config, appliance.run.link",
}
_MEASURE = (
    ";import resource,json;u=resource.getrusage(resource.RUSAGE_SELF);"
    "print(json.dumps([(u.ru_utime+u.ru_stime)*1000,u.ru_maxrss/1024]))"
)


def measure(code: str) -> tuple[float, float]:
    """Return CPU time in ms (the median of ``RUNS``) and peak resident memory in MiB of running ``code``."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    runs = []
    for _ in range(RUNS + 1):
        done = subprocess.run(
            [sys.executable, "-c", code + _MEASURE], env=environment, capture_output=True, text=True, check=True
        )
        runs.append(json.loads(done.stdout))
    cpu_ms, memory_mib = zip(*runs[1:], strict=True)  # the first run may still compile
    return statistics.median(cpu_ms), max(memory_mib)


def main() -> None:
    """Print one line a stack, with the ratio to the lean stack."""
    found = {name: measure(code) for name, code in STACKS.items()}
    lean_ms = found["lean stack (scard, gpiozero, paho, luma, sqlite3)"][0]
    print(f"{'':52}{'CPU ms':>8}{'ratio':>7}{'RSS MiB':>9}")
    for name, (cpu_ms, memory_mib) in found.items():
        print(f"{name:52}{cpu_ms:8.0f}{cpu_ms / lean_ms:7.2f}{memory_mib:9.1f}")


if __name__ == "__main__":
    main()
