"""The command on runs whose pictures are known; what the page says is tested in tests/report."""

import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from inv_jax import cli
from inv_jax.eval import lpips
from inv_jax.player.player import Player
from inv_jax.report import page

pytestmark = pytest.mark.usefixtures("restored_process", "painted")


@pytest.fixture(scope="module")
def capture(tiny_capture):
    return tiny_capture()


@pytest.fixture
def undrawn(monkeypatch):
    """Plots are not drawn, which takes its time; one test does."""
    monkeypatch.setattr(page, "_draw", lambda plot, theme: b"")


@pytest.fixture(scope="module")
def workdirs(untrained, capture):
    """Two runs: one from scratch with a journal, one without."""
    made = [untrained(capture, seed=1), untrained(capture, (1, 2), seed=2)]
    record = json.loads((made[0] / "config.json").read_text())
    record["config"]["train"].update(scratch=True, freeze_frame=0)
    (made[0] / "config.json").write_text(json.dumps(record))
    rows = [{"frame": n, "cam": 0, "psnr": 11.0 + n, "ssim": 0.5, "seconds": 1.0, "steps": 3}
            for n in (1, 2, 3)]  # fmt: skip
    text = "\n".join(json.dumps(row) for row in rows)
    (made[0] / "metrics.jsonl").write_text(text + "\n" + '{"frame": 4, "ps')  # was killed
    return made


def _report(out, *arguments):
    flags = ["--metrics=psnr,ssim", f"--out={out}"]
    return cli.main(["inv-jax", "report", *flags, *map(str, arguments)])


def test_runs_are_compared_on_one_page(workdirs, tmp_path, capsys):
    video = tmp_path / "raw.inv"
    encode = ["inv-jax", "encode", f"--workdir={workdirs[1]}", "--codec=raw", f"--out={video}"]
    assert cli.main(encode) == 0
    out = tmp_path / "out"
    assert _report(out, video, *workdirs, "--title=Both") == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(out / "index.html")
    text = (out / "index.html").read_text()
    titles = re.findall(r"<h2>(.*?)</h2>", text)
    assert {"What differs", "Incremental against from scratch", "Pictures"} <= {*titles}
    assert "Raw against compressed" in titles and "Budgets" not in titles
    assert "<li>Budgets: it takes runs" in text
    assert "<li>Flicker: no pixel stands still</li>" in text  # the capture is noise
    assert "only what its journal says" not in text  # the runs know the video's capture
    assert "frames 1 to 2, which all runs have" in text
    assert {"psnr.png", "scratch.png", "compressed.png", "frame0002.png"} <= {
        path.name for path in out.iterdir()
    }


@pytest.mark.usefixtures("undrawn")
def test_a_second_report_renders_nothing(workdirs, tmp_path, monkeypatch):
    assert _report(tmp_path / "out", *workdirs) == 0
    monkeypatch.setattr(Player, "view", None)
    assert _report(tmp_path / "out", *workdirs) == 0


@pytest.mark.usefixtures("undrawn")
def test_lpips_of_other_weights_is_measured_anew(workdirs, tmp_path, monkeypatch):
    value = {"a": 0.125, "b": 0.375}
    monkeypatch.setattr(lpips.Lpips, "__call__", lambda self, *_: value[self.net])
    monkeypatch.setattr(lpips.Lpips, "name", property(lambda self: f"lpips-{self.net}"))
    for net in ("a", "b", "a"):
        monkeypatch.setattr(lpips, "find", lambda _, net=net: lpips.Lpips(net, {}))
        assert _report(tmp_path / "out", workdirs[1], "--metrics=psnr,lpips") == 0
        text = (tmp_path / "out" / "index.html").read_text()
        assert f">{value[net]:.3f}</td>" in text
        assert f"LPIPS compares features of the network {net}." in text


@pytest.fixture
def masks(capture):
    """Of the held-out camera: all of frame 1 is dynamic, the left half of the others."""
    folder = capture / "moving"
    folder.mkdir(exist_ok=True)
    for frame in (1, 2, 3):
        mask = np.zeros((12, 16), np.uint8)
        mask[:, : 16 if frame == 1 else 8] = 1
        Image.fromarray(mask).save(folder / f"{frame}_cam00.png")
    return "--masks=moving/{frame}_{cam}.png"


@pytest.mark.usefixtures("undrawn")
def test_dynamic_pixels_have_a_column_where_masks_say_which_they_are(workdirs, masks, tmp_path):
    flags = [workdirs[1], "--metrics=psnr,psnr_dynamic,psnr_static", "--frames=1:2"]
    assert _report(tmp_path / "out", *flags) == 0
    assert "PSNR dynamic" not in (tmp_path / "out" / "index.html").read_text()
    for again in (masks, "--mask_polarity=static"):  # other masks, other numbers
        assert _report(tmp_path / "out", *flags, masks, again) == 0
        text = (tmp_path / "out" / "index.html").read_text()
        (row,) = re.findall(r'<th scope="row">[^\n]*run2</th>(.*)</tr>', text)[:1]
        cells = re.findall(r"<td[^>]*>(.*?)</td>", row)
        names = re.findall(r'scope="colgroup" colspan="3">(PSNR[^<]*)<', text)
        assert names == ["PSNR, dB", "PSNR dynamic, dB", "PSNR static, dB"]
        whole, dynamic, static = cells[:9:3]
        # What frame 1 has none of is known of frame 2 alone.
        assert (static if again == masks else dynamic) == cells[7 if again == masks else 4]
        assert whole != "-" != dynamic


@pytest.mark.usefixtures("undrawn")
def test_layers_of_a_run_are_shown_and_rendered_once(untrained, capture, tmp_path, monkeypatch):
    split = untrained(capture, (1, 2), seed=4, name="split")
    for _ in range(2):
        assert _report(tmp_path / "out", split) == 0
        text = (tmp_path / "out" / "index.html").read_text()
        assert "<h2>Layers</h2>" in text
        assert text.count("<b>dynamic, opacity</b>") == 2
        monkeypatch.setattr(Player, "view", None)
    assert (tmp_path / "out" / "layers0002.png").is_file()


@pytest.mark.usefixtures("undrawn")
def test_pictures_have_the_scores_of_their_own_camera(workdirs, tmp_path):
    assert _report(tmp_path / "out", workdirs[0], "--cams=all", "--frames=2") == 0
    text = (tmp_path / "out" / "index.html").read_text()
    assert "Measured at cam00 (held out); cam01, cam02 (trained on)." in text
    assert "<small>PSNR 13.00, SSIM 0.500</small>" in text  # the journal's, of camera 0
    assert ">13.00<" not in text  # the mean over the cameras is another


@pytest.mark.usefixtures("undrawn")
def test_a_run_of_one_frame_without_its_capture_shows_what_there_is(
    untrained, tiny_capture, tmp_path
):
    capture = tiny_capture()
    workdir = untrained(capture, (1,))
    row = {"frame": 1, "cam": 0, "psnr": 30.125, "ssim": None, "seconds": 2.0}
    (workdir / "metrics.jsonl").write_text(json.dumps(row) + "\n")
    shutil.rmtree(capture)
    assert _report(tmp_path / "out", workdir) == 0
    text = (tmp_path / "out" / "index.html").read_text()
    assert "30.12" in text and "only what its journal says is shown" in text
    assert "<li>Pictures: " in text


@pytest.mark.usefixtures("undrawn")
def test_runs_of_different_captures_get_a_chapter_each(workdirs, untrained, tiny_capture, tmp_path):
    other = untrained(tiny_capture(14, 18), (1, 2), seed=3)
    assert _report(tmp_path / "out", workdirs[1], other) == 0
    text = (tmp_path / "out" / "index.html").read_text()
    assert len(re.findall(r'<h2 class="chapter">Capture \d', text)) == 2
    assert {"capture1_psnr.png", "capture2_psnr.png"} <= {
        path.name for path in (tmp_path / "out").iterdir()
    }


@pytest.mark.parametrize(
    "arguments, text",
    [
        ([], "give workdirs or .inv files"),
        (["/nowhere"], "is no run"),
        (["RUN", "--frames=8:9"], "stored frames are 1 to 2"),
        (["RUN", "--cams=7"], "cameras are 0 to 2"),
        (["RUN", "--names=a,b"], "2 names for 1 runs"),
        (["RUN", "--data_path=a,b"], "2 folders for 1 runs"),
        (["RUN", "--metrics=vmaf"], "no metric 'vmaf'"),
    ],
)
def test_mistakes_are_one_line(arguments, text, workdirs, tmp_path, capsys):
    given = [str(workdirs[1]) if one == "RUN" else one for one in arguments]
    assert cli.main(["inv-jax", "report", *given, f"--out={tmp_path}"]) == 2
    assert text in capsys.readouterr().err.splitlines()[-1]
