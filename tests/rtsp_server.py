"""An RTSP server with a moving test picture; run by Debian's Python, which has GStreamer.

`python3 rtsp_server.py ENCODING [PORT] [USER PASSWORD]` prints its port; `/garden` is the stream.
ENCODING is h264 or jpeg.
"""

import sys

import gi  # type: ignore[import-not-found]

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import (  # type: ignore[import-not-found]  # noqa: E402
    GLib,
    Gst,
    GstRtspServer,
)

ENCODERS = {
    "h264": "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=5 ! rtph264pay name=pay0",
    "jpeg": "jpegenc ! rtpjpegpay name=pay0",
}


def main() -> None:
    """Serve until it is killed."""
    encoding, *rest = sys.argv[1:]
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(rest[0] if rest else "0")
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(
        "( videotestsrc is-live=true pattern=ball "
        "! video/x-raw,width=160,height=120,framerate=10/1 "
        f"! videoconvert ! video/x-raw,format=I420 ! {ENCODERS[encoding]} )"
    )
    if rest[1:]:
        user, password = rest[1:]
        auth = GstRtspServer.RTSPAuth()
        auth.set_supported_methods(2)  # digest
        token = GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", "user")
        auth.add_digest(user, password, token)
        server.set_auth(auth)
        factory.add_role_from_structure(
            Gst.Structure.from_string(
                "user, media.factory.access=true, media.factory.construct=true"
            )[0]
        )
    server.get_mount_points().add_factory("/garden", factory)
    server.attach(None)
    print(server.get_bound_port(), flush=True)
    GLib.MainLoop().run()


main()
