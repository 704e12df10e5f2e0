"""Processes that may be killed: one that has imported all forks the others, since importing takes longest."""

import json
import subprocess
import sys

SERVER = """
import json, os, sys, traceback
import numpy, zarr
import surffit.batch.chunks.engine, surffit.batch.large.store, surffit.batch.fit

for line in sys.stdin:
    call = json.loads(line)
    pid = os.fork()
    if not pid:
        try:
            with open(call["out"], "w") as sys.stdout:
                exec(call["code"], {})
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


class Forks:
    """Runs code in processes of its own, one at a time."""

    def __init__(self, folder):
        self._server = subprocess.Popen([sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._out, self.pid = folder / "out", None

    def start(self, code):
        self._server.stdin.write(json.dumps({"code": code, "out": str(self._out)}) + "\n")
        self._server.stdin.flush()
        self.pid = int(self._server.stdout.readline())

    def wait(self):
        """Exit code (minus the signal that killed it) and what was printed."""
        code = int(self._server.stdout.readline())
        return code, self._out.read_text().strip()

    def run(self, code):
        self.start(code)
        return self.wait()

    def close(self):
        self._server.stdin.close()
        self._server.wait(timeout=60)
        self._server.stdout.close()
