"""What a device feels of a filter: no torch, soon there, and memory that does not grow. Bounds are generous."""

import json
import subprocess
import sys

CODE = """
import json, os, sys, time
began = time.process_time()
import numpy as np
from sottovoce.runtime.filter import Filter
from sottovoce.runtime import bundled
imported = time.process_time() - began

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

rng, stream, memory, late = np.random.default_rng(0), Filter.load(bundled.PLACE / "digit").stream(), [], []
taken = given = 0
for minute in range(12):
    for _ in range(60):
        second = (rng.uniform(0, 0.3) * rng.standard_normal(16000)).astype(np.float32)
        for hop in second.reshape(100, 160):
            given += len(stream.feed(hop))
            taken += 160
    memory.append(resident())
    late.append(taken - given - stream.latency_samples)
print(json.dumps({"imported": imported, "memory": memory, "late": late, "torch": "torch" in sys.modules}))
"""


def test_it_is_soon_there_and_needs_little_and_no_more_with_time():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert not found["torch"]
    assert found["imported"] < 2.0  # seconds of work; a third of one where nothing else runs
    assert max(found["memory"]) < 150
    assert found["memory"][-1] - found["memory"][3] < 2
    assert set(found["late"]) == {0}
