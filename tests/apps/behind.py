"""behind.py - a program of others in front of a strobed: a proxy, that listens on a Unix socket (no port to find free).

    proxy = Behind(test, CONF, ["nginx", "-c", "{conf}"], port=server.http_port)
    client = proxy.client(http_client.Client)

CONF and the command are formatted with what is given, and {place}, a folder of its own, {conf}, the file that CONF is
written to, and {door}, the socket. It ends with the test."""
import os
import socket
import subprocess
import tempfile
import time

import strobe_test


class Behind:
    def __init__(self, test, conf, command, **values):
        folder = tempfile.TemporaryDirectory(prefix="strobe-behind-")
        test.addCleanup(folder.cleanup)
        self.test = test
        self.door = os.path.join(folder.name, "door")
        values |= {"place": folder.name, "door": self.door, "conf": os.path.join(folder.name, "conf")}
        with open(values["conf"], "w", encoding="ascii") as file:
            file.write(conf.format(**values))
        self.program = subprocess.Popen([word.format(**values) for word in command], stdin=subprocess.DEVNULL,
                                        cwd=folder.name)
        test.addCleanup(self.program.wait)
        test.addCleanup(self.program.terminate)
        self._wait(command[0])

    def _wait(self, name):
        end = time.monotonic() + strobe_test.PATIENCE
        while True:
            try:
                with socket.socket(socket.AF_UNIX) as probe:
                    probe.connect(self.door)
                return
            except OSError:
                self.test.assertIsNone(self.program.poll(), f"{name} has ended")
                self.test.assertLess(time.monotonic(), end, f"{name} does not listen")
                time.sleep(0.01)

    def client(self, kind):
        """A client of class KIND, strobe_test.Client or below, that is connected through the program."""
        client = kind.__new__(kind)
        strobe_test.Client.__init__(client, self.door)
        self.test.addCleanup(client.close)
        return client
