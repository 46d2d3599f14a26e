"""Memory that is freed: kept while it is asked for, given back at the end."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

MEASURED = """
import resource
import numpy as np
from dashapp.store import heap

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def resident_pages():
    return int(open("/proc/self/statm").read().split()[1])

def fold():
    arrays = [np.ones(333_000) for _ in range(8)]

def faults_of_a_fold():
    fold()
    before = faults()
    for _ in range(5):
        fold()
    return (faults() - before) // 5

usual = faults_of_a_fold()
with heap.kept():
    kept = faults_of_a_fold()
    during = resident_pages()
print(usual, kept, during - resident_pages())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_freed_memory_is_kept_inside_and_given_back_at_the_end() -> None:
    done = subprocess.run([sys.executable, "-c", MEASURED], capture_output=True, text=True, check=True, timeout=60)
    usual, kept, given_back = map(int, done.stdout.split())
    pages = 8 * 333_000 * 8 // 4096
    assert usual > pages / 2  # else there would be nothing to gain
    assert kept < pages / 20
    assert given_back > pages / 2
