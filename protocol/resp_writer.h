/* resp_writer.h - the encoders of struct strobe_reply for RESP2 and RESP3.
 *
 *            RESP2             RESP3
 *   null     $-1               _
 *   no list  *-1               _
 *   boolean  :1 :0             #t #f
 *   real     $ text            , text
 *   map      * 2n              % n
 *   set      *                 ~
 *   push     *                 >
 *   verbatim $                 = txt:...
 *   big      $ digits          ( digits
 */
#ifndef STROBE_PROTOCOL_RESP_WRITER_H
#define STROBE_PROTOCOL_RESP_WRITER_H

#include "protocol/reply.h"

enum strobe_resp_version { STROBE_RESP2 = 2, STROBE_RESP3 = 3 };

/* Starts REPLY to write VERSION into OUT (borrowed as long as REPLY is used). Nothing to end. */
void strobe_resp_writer_init(struct strobe_reply *reply, struct strobe_out *out, enum strobe_resp_version version);

/* Another version from the next item on (HELLO). */
void strobe_resp_writer_set_version(struct strobe_reply *reply, enum strobe_resp_version version);

#endif
