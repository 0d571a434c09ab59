"""What a shell completes, asked of the shell itself."""

import shlex
import shutil
import subprocess

import pytest

from graft.cli import main as cli
from graft.cli.completion import WHERE
from graft.model.bundle import FORMATS


@pytest.fixture
def script(capsys):
    def print_script(shell: str) -> str:
        with pytest.raises(SystemExit) as ended:
            cli.main(["completion", shell])
        assert not ended.value.code
        return capsys.readouterr().out

    return print_script


def completed(script: str, *words: str, folder=None) -> set[str]:
    """What bash offers for the last of the words."""
    call = f"{script}\nCOMP_WORDS=({shlex.join(words)}); COMP_CWORD={len(words) - 1}; _shtab_graft\n"
    done = subprocess.run(["bash", "-c", call + 'printf "%s\\n" "${COMPREPLY[@]}"'], cwd=folder, check=True,
                          capture_output=True, text=True)
    return set(done.stdout.split())


def test_bash_completes_commands_options_choices_and_files(script, tmp_path):
    text = script("bash")
    (tmp_path / "photo.jpg").touch()
    assert completed(text, "graft", "pu") == {"pull", "publish"}
    assert completed(text, "graft", "predict", "--for") == {"--format"}
    assert completed(text, "graft", "predict", "--format", "") == set(FORMATS)
    assert completed(text, "graft", "predict", "pho", folder=tmp_path) == {"photo.jpg"}
    assert completed(text, "graft", "completion", "") == set(WHERE)


@pytest.mark.parametrize("shell", WHERE)
def test_the_script_of_each_shell_is_sound_and_knows_every_command(script, shell):
    text = script(shell)
    for command in ("predict", "serve", "page", "pull", "publish", "promote", "rollback", "withdraw", "gc", "list",
                    "history", "report", "compare", "verify", "completion"):
        assert command in text
    if shutil.which(shell):
        subprocess.run([shell, "-n", "/dev/stdin"], input=text, text=True, check=True)


def test_the_help_names_the_exit_codes(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    assert "Exit codes: 0 if all is well; 1 if" in " ".join(capsys.readouterr().out.split())
