"""Download one archive with pip, as it lies there: `python pip_download.py PROJECT DESTINATION`.

`pip download` runs the setup.py of an sdist to learn what it needs, and pip has no other public way to its files. So
this uses the parts of pip that find and fetch them (tried with pip 22 to 26), with all settings of the user: indexes,
mirrors, folders, proxies, certificates, passwords. It is a script of its own because pip may belong to another Python.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path


def main(project: str, destination: Path) -> None:
    """Write the archive whose file name is that of the destination."""
    # The Python that imports this package need not have pip.
    from pip._internal.commands import create_command

    command = create_command("download")
    with command.main_context():
        # Settings that leave sdists or wheels out are meant for installing.
        options, _ = command.parse_args(["--quiet", "--no-binary=:none:", "--only-binary=:none:"])
        session = command.get_default_session(options)
        finder = command._build_package_finder(options, session, ignore_requires_python=True)
        candidates = finder.find_all_candidates(project)
        links = [candidate.link for candidate in candidates if candidate.link.filename == destination.name]
        if not links:
            sys.exit(f"no {destination.name} where pip looks for packages")
        # Without this header an archive may arrive decompressed.
        response = session.get(links[0].url_without_fragment, headers={"Accept-Encoding": "identity"}, stream=True)
        response.raise_for_status()
        with destination.open("wb") as stream:
            shutil.copyfileobj(response.raw, stream)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
