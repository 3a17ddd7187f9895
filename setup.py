"""Compiles edge/_fast; with EDGE_SANITIZE=1 under AddressSanitizer and UndefinedBehaviorSanitizer."""

import os
import re
from pathlib import Path
from zlib import crc32

from Cython.Build import cythonize
from setuptools import Extension, setup

SANITIZE = os.environ.get("EDGE_SANITIZE") == "1"
ONLY = os.environ.get("EDGE_ONLY", "").split()      # names of modules, where a test needs a package and not all of it
FLAGS = ["-O2", "-g0"]
# Loops over a request's bytes gain 4 % of its CPU by -O3; the others gain nothing and take a compiler a fifth longer.
LOOPS = {"scan", "head", "chunk", "tap", "slab"}
if SANITIZE:
    FLAGS = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-omit-frame-pointer"]
    LOOPS = set()

here = Path("edge/_fast")
# What the shared memory's words are: a successor whose version declares it otherwise must not read it.
declared = crc32(re.sub(r"\s*#.*", "", (here / "shared/slab.pxd").read_text()).encode())
headers = sorted(map(str, here.rglob("*.h")))
extensions = [
    Extension(".".join(p.with_suffix("").parts), [str(p)], depends=headers, include_dirs=[str(here)],
              define_macros=[("EDGE_DECLARED", f"{declared}u")],
              extra_compile_args=["-std=gnu11", *FLAGS, *(["-O3"] if p.stem in LOOPS else [])],
              extra_link_args=FLAGS if SANITIZE else ["-s"])
    for p in sorted(here.rglob("*.pyx")) if not ONLY or p.stem in ONLY
]
# nonecheck: a None where there should be an object is a fault of one request then, not the end of the worker. It costs
# 1 to 2 % of a request's time.
# Two compilers at once: the longest file, gateway.c, takes as long as all the others.
PARALLEL = {"build_ext": {"parallel": 2}}
setup(options=PARALLEL, ext_modules=cythonize(extensions, language_level=3, nthreads=0, compiler_directives={
    "boundscheck": False, "wraparound": False, "cdivision": True, "initializedcheck": False, "nonecheck": True,
    "freethreading_compatible": False, "binding": False, "auto_pickle": False, "embedsignature": True,
    "autotestdict": False}))
