use super::MQTT;
use crate::protocols::testing::{ORIG, RESP, any_split_gives_the_same_rows};

#[test]
fn connections_messages_and_subscriptions() {
    let client = b"\x10\x18\x00\x04MQTT\x04\x04\x00\x3c\x00\x02id\x00\x01t\x00\x05going\x82\x06\x00\x07\x00\x01a\x01\x34\x07\x00\x01b\x00\x09hi\x62\x02\x00\x09";
    let server = b"\x20\x02\x00\x00\x90\x03\x00\x07\x01\x50\x02\x00\x09\x70\x02\x00\x09\x31\x04\x00\x01ax";
    let rows = any_split_gives_the_same_rows(&MQTT, 1883, &[(ORIG, client), (RESP, server)]);
    let rows: Vec<_> = rows.iter().map(|r| (r.split('\t').next().unwrap(), r.split('\t').skip(7).collect::<Vec<_>>().join(" "))).collect();
    assert_eq!(rows[0], ("mqtt_connect", "MQTT 3.1.1 id Connection Accepted t going".into()));
    assert_eq!(rows[1], ("mqtt_subscribe", "MQTT::SUBSCRIBE a 1 1 T".into()));
    assert_eq!(rows[2], ("mqtt_publish", "T F exactly once ok b hi 2".into()));
    assert_eq!(rows[3], ("mqtt_publish", "F T at most once ok a x 1".into()));
}
