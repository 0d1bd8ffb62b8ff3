"""Puts a private key into Vault's transit engine, which signs with it and never gives it out."""

import base64
import os

import hvac
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.keywrap import aes_key_wrap_with_padding

from adapters.vault.errors import Misasked, VaultBug

AES_BYTES = 32


def import_rsa_key(client: hvac.Client, name: str, pem: str, *, mount: str = "transit") -> None:
    """Import an RSA key under a name, or as the newest version of the key that is there.

    Speaks to Vault; run it in a thread or through `Vault.run`.

    :raises Misasked: it is no RSA key
    """
    kind, key = _key(pem)
    wrapping = serialization.load_pem_public_key(_wrapping_key(client, mount).encode())
    if not isinstance(wrapping, rsa.RSAPublicKey):
        raise VaultBug("Vault's wrapping key is no RSA key")
    once = os.urandom(AES_BYTES)
    sealed = wrapping.encrypt(
        once, padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    )
    text = base64.b64encode(sealed + aes_key_wrap_with_padding(once, key)).decode()
    there = client.read(f"{mount}/keys/{name}") is not None
    path = f"{mount}/keys/{name}/import{'_version' if there else ''}"
    data = {"ciphertext": text, "hash_function": "SHA256"}
    client.write_data(path, data=data if there else {**data, "type": kind, "exportable": False})


def _wrapping_key(client: hvac.Client, mount: str) -> str:
    return str(client.read(f"{mount}/wrapping_key")["data"]["public_key"])


def _key(pem: str) -> tuple[str, bytes]:
    """Its type as Vault calls it, and its bytes in PKCS #8."""
    try:
        key = serialization.load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError) as error:
        raise Misasked("it is no private key in PEM without a password") from error
    if not isinstance(key, rsa.RSAPrivateKey) or key.key_size not in {2048, 3072, 4096}:
        raise Misasked("it is no RSA key of 2048, 3072 or 4096 bits")
    return f"rsa-{key.key_size}", key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
