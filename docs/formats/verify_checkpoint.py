#!/usr/bin/env python3
"""Verifies a proof file of a Rynxs ledger without any code of Rynxs: that a record is in the log whose key you pinned.

usage: verify_checkpoint.py VKEY PROOF RECORD
  VKEY    public key of the log, as 'rynxs ledger keys public' prints it
  PROOF   file written by 'rynxs ledger prove'
  RECORD  file with the record's line, as it stands in the log

Needs Python 3.8 and either the package 'cryptography' or the program 'openssl' (3.0). Exit code 0: valid; 1: not.
Formats: transparency.md beside this file, C2SP signed-note, tlog-checkpoint and tlog-proof, RFC 6962 section 2.1.
"""
import base64, hashlib, json, os, subprocess, sys, tempfile


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def ed25519_verifies(key, message, signature):
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError:
        with tempfile.TemporaryDirectory() as directory:
            names = [os.path.join(directory, name) for name in ("key.der", "message", "signature")]
            for name, content in zip(names, (bytes.fromhex("302a300506032b6570032100") + key, message, signature)):
                with open(name, "wb") as file:
                    file.write(content)
            return subprocess.run(["openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", names[0], "-rawin", "-in", names[1],
                                   "-sigfile", names[2]], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
        return True
    except InvalidSignature:
        return False


def main(vkey, proof_path, record_path):
    name, key_id, material = vkey.split("+", 2)
    material = base64.b64decode(material, validate=True)
    assert material[0] == 1 and len(material) == 33, "the key is not an Ed25519 key of a log"
    assert sha256(name.encode(), b"\n", material)[:4].hex() == key_id, "the key id is not that of the key"

    # The entry: SHA-256 over the previous hash (as text) and the event's bytes, as they stand in the canonical line.
    with open(record_path, "rb") as file:
        line = file.read().rstrip(b"\n")
    record = json.loads(line)
    event = line[len(b'{"event":'):line.rindex(b',"event_hash":')]
    entry = sha256(record["prev_hash"].encode(), event)
    assert entry.hex() == record["event_hash"], "the record does not have the hash that it states"

    with open(proof_path, "rb") as file:
        head, note = file.read().split(b"\n\n", 1)
    lines = head.decode().split("\n")
    assert lines[0] == "c2sp.org/tlog-proof@v1", "not a proof file"
    lines = [text for text in lines[1:] if not text.startswith("extra ")]
    index = int(lines[0][len("index "):])
    path = [base64.b64decode(text, validate=True) for text in lines[1:]]
    assert index == record["event"]["seq"], "the proof is about another record"

    # The checkpoint: a signed note. The text ends at the last empty line.
    text, signatures = note.rsplit(b"\n\n", 1)
    text += b"\n"
    origin, size, root = text.decode().split("\n")[:3]
    size, root = int(size), base64.b64decode(root, validate=True)
    assert origin == name or origin.startswith(name + "/agents/"), "the checkpoint is of another log"
    verified = False
    for signature_line in signatures.decode().rstrip("\n").split("\n"):
        dash, signer, blob = signature_line.split(" ")
        blob = base64.b64decode(blob, validate=True)
        if dash == "\u2014" and signer == name and blob[:4].hex() == key_id:
            assert ed25519_verifies(material[1:], text, blob[4:]), "the signature is not by the key"
            verified = True
    assert verified, "the key did not sign the checkpoint"

    # The path, RFC 9162 section 2.1.3.2.
    assert 0 <= index < size, "the record is not under the checkpoint"
    hash_, fn, sn = sha256(b"\x00", entry), index, size - 1
    for step in path:
        assert sn > 0, "the path is too long"
        if fn & 1 or fn == sn:
            hash_ = sha256(b"\x01", step, hash_)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            hash_ = sha256(b"\x01", hash_, step)
        fn, sn = fn >> 1, sn >> 1
    assert sn == 0 and hash_ == root, "the path does not lead to the root of the checkpoint"
    print(f"valid: record {index} is among the {size} records of {origin}")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except (AssertionError, ValueError, KeyError, TypeError, IndexError, OSError) as problem:
        sys.exit(f"NOT valid: {problem}")
