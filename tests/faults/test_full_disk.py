"""A disk that is full under the worker: what is paid for waits for room, and nothing that is served is cut off."""

import os
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from generations.models import Generation
from generations.worker import steps
from tests.faults.copies import Status, assert_copied, assert_nothing_is_served, at_the_upstream, claim, until_done
from tests.faults.faulty_server import video_of
from tests.faults.surroundings import DISK_BYTES, full_disk
from tests.support.factories import Caller
from tests.support.upstream import Upstream

VIDEO = video_of(7)


def chunked(handler: Any) -> None:
    """Answer with the video without its length, so that it goes through a file."""
    handler.send_response(200)
    handler.send_header("Content-Type", "video/mp4")
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(VIDEO), VIDEO))
    handler.close_connection = True


def take_step(generation: Generation) -> Generation:
    """Take the step as a thread of the worker does, which recovers from an error of the disk."""
    claimed = claim(generation)
    try:
        steps.advance(claimed)
    except OSError:
        steps.recover(claimed)
    return Generation.objects.get(pk=generation.pk)


@pytest.mark.parametrize("answer", [(200, {"Content-Type": "video/mp4"}, VIDEO), chunked])
def test_a_copy_onto_a_full_disk_waits_for_room(alice: Caller, bucket: Any, upstream: Upstream, answer: Any) -> None:
    assert len(VIDEO) > DISK_BYTES
    upstream.video(VIDEO)
    upstream.on_video = answer
    g = at_the_upstream(alice)
    with full_disk(os.getpid()):
        for _ in range(3):
            g = take_step(g)
            assert g.status == Status.COPYING
            assert_nothing_is_served(alice, g)
    assert g.consecutive_failures == 3
    assert_copied(alice, until_done(g), VIDEO, bucket)


def test_a_day_of_a_full_disk_gives_no_paid_video_up(alice: Caller, bucket: Any, upstream: Upstream) -> None:
    """The time counts for no deadline: an odd answer after it ends nothing."""
    upstream.video(VIDEO)
    g = at_the_upstream(alice)
    with full_disk(os.getpid()):
        g = take_step(g)
    with time_machine.travel(timezone.now() + timedelta(hours=26)):
        with full_disk(os.getpid()):
            for _ in range(6):
                g = take_step(g)
        upstream.on_video = 200, {"Content-Type": "text/html"}, b"<html>"
        g = take_step(g)
        assert (g.status, g.error_code) == (Status.COPYING, "")
        upstream.video(VIDEO)
        assert_copied(alice, until_done(g), VIDEO, bucket)
