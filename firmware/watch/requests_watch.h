/* Requests about the camera and the loop; server.h has the others. */
#ifndef LOTOR_REQUESTS_WATCH_H
#define LOTOR_REQUESTS_WATCH_H

#include "../src/server.h"

link_error camera_frame_request(const request *r, writer *answer);
link_error camera_data_request(const request *r, writer *answer);
link_error watch_request(const request *r, writer *answer);
link_error events_request(const request *r, writer *answer);
link_error output_request(const request *r, writer *answer);
link_error frame_request(const request *r, writer *answer);

/* The hello's items of the camera and of outputs. */
void put_camera(writer *answer);

#endif
