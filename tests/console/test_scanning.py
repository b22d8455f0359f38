"""A key on paper is read by a telephone's camera, in the browser: a film of the code stands for the camera."""

from functools import partial
from pathlib import Path

import pytest
import segno
from fastapi import FastAPI
from playwright.async_api import Page, expect

from api.wording import say
from tests.api.conftest import Organization
from tests.api.served import served_here
from tests.chromium import found
from tests.console.browsing import AXE, PHONE, chromium, flaws_of, opened
from tests.waiting import eventually
from web.files import OF_THE_SCAN, is_installed

CHROMIUM = found()
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here, and none was fetched: python -m tests.chromium"),
    pytest.mark.skipif(not is_installed(OF_THE_SCAN), reason="what reads codes is not here: npm could not fetch it"),
]
CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
"""One that people have let the page use."""
WIDTH, HEIGHT, MODULE = 640, 480, 8
SEEN = """
    async (decoder) => {
        const { BarcodeDetector } = await import(decoder);
        const [seen] = await new BarcodeDetector().detect(document.querySelector("video"));
        return seen.rawValue;
    }
"""


def film(folder: Path, text: str) -> str:
    """What shows Chromium a code that is held before its camera: one picture without colours (YUV 4:2:0)."""
    matrix = [bytes(line) for line in segno.make(text, error="m", micro=False).matrix_iter(scale=MODULE, border=4)]
    top, left = (HEIGHT - len(matrix)) // 2, (WIDTH - len(matrix)) // 2
    light = [bytearray(b"\xff" * WIDTH) for _ in range(HEIGHT)]
    for y, line in enumerate(matrix):
        light[top + y][left : left + len(line)] = bytes(0 if dark else 255 for dark in line)
    picture = b"FRAME\n" + b"".join(light) + b"\x80" * (WIDTH * HEIGHT // 2)
    file = folder / "camera.y4m"
    file.write_bytes(f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F10:1 Ip A1:1 C420jpeg\n".encode() + picture * 2)
    return f"--use-file-for-fake-video-capture={file}"


async def cameras(page: Page) -> int:
    """How many cameras look at this moment."""
    live = "[...document.querySelectorAll('video')].filter((each) => each.srcObject?.active).length"
    return int(await page.evaluate(live))


async def sees(page: Page) -> bool:
    """Whether there is a picture to look at."""
    return bool(await page.evaluate("document.querySelector('video').readyState > 2"))


async def test_a_key_that_is_held_before_the_camera_signs_in(
    app: FastAPI, coordination: Organization, tmp_path: Path
) -> None:
    assert CHROMIUM
    seen = film(tmp_path, coordination.key)
    async with (
        served_here(app) as url,
        chromium(CHROMIUM, *CAMERA, seen) as browser,
        opened(browser, url, PHONE, "en") as watched,
    ):
        await watched.go("/console/sign-in")
        await watched.page.click("#scan")
        await watched.page.wait_for_url("**/console")
        await expect(watched.page.locator("#live")).to_be_visible()
        watched.assert_kept_to_itself()


async def test_a_code_that_is_no_key_is_passed_over(app: FastAPI, tmp_path: Path) -> None:
    """Sent, the slip of a family or a poster on the wall would count as a wrong key."""
    assert CHROMIUM
    seen = film(tmp_path, "K7QF42MRX9TDWAH")
    async with (
        served_here(app) as url,
        chromium(CHROMIUM, *CAMERA, seen) as browser,
        opened(browser, url, PHONE, "en") as watched,
    ):
        page = watched.page
        await watched.go("/console/sign-in")
        await page.click("#scan")
        await expect(page.locator("#scan-says")).to_have_text(say("console.scan.waits", "en"))
        # The control: the code is seen, by what the page itself looks with.
        await eventually(partial(sees, page), "the camera sees something")
        decoder = await page.get_attribute("#scan", "data-decoder")
        assert await page.evaluate(SEEN, decoder) == "K7QF42MRX9TDWAH"
        assert await cameras(page) == 1, "it goes on looking"
        assert await page.input_value("#key") == ""


async def test_a_camera_that_sees_nothing_is_stopped_and_one_that_is_refused_is_told_of(app: FastAPI) -> None:
    assert CHROMIUM
    async with (
        served_here(app) as url,
        chromium(CHROMIUM, *CAMERA) as browser,
        opened(browser, url, PHONE, "en") as watched,
    ):
        page = watched.page
        await watched.go("/console/sign-in")
        await page.click("#scan")
        await expect(page.locator("#scan-says")).to_have_text(say("console.scan.waits", "en"))
        await expect(page.locator("#scan-stop")).to_be_focused()
        assert await cameras(page) == 1
        if AXE.exists():
            assert await flaws_of(page) == []
        await page.keyboard.press("Enter")
        await expect(page.locator("#scan-view")).to_be_hidden()
        await expect(page.locator("#scan")).to_be_visible()
        assert await cameras(page) == 0
        watched.assert_kept_to_itself()
    async with (
        served_here(app) as url,
        chromium(CHROMIUM) as browser,
        opened(browser, url, PHONE, "en") as watched,
    ):
        await watched.go("/console/sign-in")
        await watched.page.click("#scan")
        await expect(watched.page.locator("#scan-says")).to_have_text(say("console.scan.refused", "en"))
        watched.assert_kept_to_itself()
