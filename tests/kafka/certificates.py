# SPDX-License-Identifier: Apache-2.0
"""An authority, a server and two clients for one broker, made by openssl in the test's own directory."""
import subprocess


class Certificates:
    """Paths of PEM files: `authority`, `server` (key and certificate in one, as the broker wants it), and for each user
    `key(user)` and `certificate(user)`. `stranger` is signed by an authority that the broker does not know."""

    def __init__(self, directory):
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.authority = directory / "authority.pem"
        self.server = directory / "server.pem"
        if self.server.exists():
            return
        self._make_authority("authority")
        self._make_authority("strange-authority")
        self._make("server-only", "authority", "127.0.0.1", "subjectAltName=IP:127.0.0.1,DNS:localhost")
        self._make("alice", "authority", "alice")
        self._make("stranger", "strange-authority", "alice")
        self.server.write_bytes(self.key("server-only").read_bytes() + self.certificate("server-only").read_bytes())

    def key(self, user):
        return self.directory / f"{user}.key"

    def certificate(self, user):
        return self.directory / f"{user}.pem"

    def _make_authority(self, name):
        self._openssl("req", "-x509", *self._new_key(name), "-subj", f"/CN={name}", "-days", "2",
                      "-addext", "keyUsage=critical,keyCertSign", "-out", self.certificate(name))

    def _make(self, name, authority, common_name, extension="extendedKeyUsage=clientAuth"):
        request, extensions = self.directory / f"{name}.csr", self.directory / f"{name}.ext"
        extensions.write_text(extension + "\n")
        self._openssl("req", *self._new_key(name), "-subj", f"/CN={common_name}", "-out", request)
        self._openssl("x509", "-req", "-in", request, "-CA", self.certificate(authority), "-CAkey", self.key(authority),
                      "-CAcreateserial", "-days", "2", "-extfile", extensions, "-out", self.certificate(name))

    def _new_key(self, name):
        return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", self.key(name)]

    def _openssl(self, *arguments):
        done = subprocess.run(["openssl", *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True, check=False)
        if done.returncode != 0:
            raise AssertionError(f"openssl {arguments[0]}: {done.stderr.decode(errors='replace')}")
