"""Compiles edge/_fast; with EDGE_SANITIZE=1 under AddressSanitizer and UndefinedBehaviorSanitizer."""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

SANITIZE = os.environ.get("EDGE_SANITIZE") == "1"
FLAGS = ["-O3", "-g0"]
if SANITIZE:
    FLAGS = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-omit-frame-pointer"]

here = Path("edge/_fast")
extensions = [
    Extension(f"edge._fast.{p.stem}", [str(p)], depends=sorted(map(str, here.glob("*.h"))), extra_compile_args=["-std=gnu11", *FLAGS],
              extra_link_args=FLAGS if SANITIZE else ["-s"])
    for p in sorted(here.glob("*.pyx"))
]
setup(ext_modules=cythonize(extensions, language_level=3, nthreads=0, compiler_directives={
    "boundscheck": False, "wraparound": False, "cdivision": True, "initializedcheck": False,
    "freethreading_compatible": False, "binding": False, "embedsignature": True, "autotestdict": False}))
