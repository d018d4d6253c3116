//! The sections of `tenrec.toml`. Each doc comment is what the operator reads in the default file.

use std::path::PathBuf;

use crate::secret::Secret;
use crate::section::section;
use crate::url::Url;
use crate::values::{
    AnalysisMode, CaptureMode, CarvingMode, ClientCertificates, Compression, Host, InterfaceAddress, Malcolm, Network, Preservation,
    Profile, TlsVersion, Verify, ZeekFormat,
};

section! {
    /// Who this sensor is, in every record it sends.
    pub struct Node as "node" {
        /// Name of the sensor; empty takes the host's name. Letters, digits, `-` and `.`, at most 253.
        /// (Environment: PCAP_NODE_NAME)
        pub name: String = String::new();
        /// Name or address at which Malcolm's Arkime reaches this sensor for packets; empty takes the sensor's name.
        /// (Environment: ARKIME_LIVE_NODE_HOST)
        pub host: String = String::new();
        /// NetBox site of the sensor, by name or number; empty for none.
        pub site: String = String::new();
        /// Tags added to every record that is forwarded.
        /// (Environment: EXTRA_TAGS, separated by commas)
        pub tags: Vec<String> = Vec::new();
        /// Release of the Malcolm that takes the records: `26.08`, `26.05` or `26.01`. The older ones read other columns of
        /// tab-separated logs, so they need analysis.zeek = "json".
        pub malcolm: Malcolm = Malcolm::V2608;
    }
}

section! {
    /// Where packets come from.
    pub struct Capture as "capture" {
        /// Interfaces to capture from, all at once.
        /// (Environment: PCAP_IFACE, separated by commas)
        pub interfaces: Vec<String> = Vec::new();
        /// Capture filter in tcpdump syntax, applied in the kernel; empty captures everything.
        /// (Environment: PCAP_FILTER)
        pub filter: String = String::new();
        /// Bytes kept of a packet, 64 to 262144. Longer packets are cut and counted.
        pub snaplen: u32 = 65_536;
        /// Size of each worker's ring in megabytes, 1 to 4096, rounded up to a power of two.
        pub ring_megabytes: u32 = 64;
        /// `auto` (XDP where it attaches, AF_PACKET elsewhere), `xdp` or `af_packet`.
        pub mode: CaptureMode = CaptureMode::Auto;
        /// Worker threads, 1 to 256; 0 takes one per core but one.
        pub workers: u32 = 0;
    }
}

section! {
    /// Packets on disk.
    pub struct Pcap as "pcap" {
        /// Whether packets are written to PCAP files.
        pub enabled: bool = true;
        /// Folder of the PCAP files, `tenrec-INTERFACE-TIME-NUMBER.pcap`, each with its index (`.idx`).
        pub folder: PathBuf = PathBuf::from("/var/lib/tenrec/pcap");
        /// Megabytes (2^20 bytes) after which a new file is begun, 1 to 1048576; never more than a sixteenth of the file system.
        /// (Environment: PCAP_ROTATE_MEGABYTES)
        pub rotate_megabytes: u64 = 4096;
        /// Minutes after which a new file is begun, 1 to 10080; 0 begins one by size alone.
        /// (Environment: PCAP_ROTATE_MINUTES)
        pub rotate_minutes: u64 = 10;
        /// `none` or `lz4`. Wireshark opens `.pcap.lz4` as it is, and `tenrec pcap` and `tenrec viewer` find packets in it;
        /// Arkime's own viewer does not.
        pub compression: Compression = Compression::None;
        /// Megabytes that all PCAP files may take, oldest deleted first; 0 leaves it to [disk].
        pub budget_megabytes: u64 = 0;
    }
}

section! {
    /// How far the disk may be filled by PCAP, logs, files and the spool together. Captures are a ring: they take what the
    /// others leave, and the oldest go. When that is not enough, these give way in turn: carving stops, then the oldest carved
    /// files go, then log files that were set aside, then the oldest waiting records. What was given up is told by a notice.
    pub struct Disk as "disk" {
        /// Megabytes that everything together may take; 0 is bounded by the floor alone.
        pub budget_megabytes: u64 = 0;
        /// Megabytes that stay free on every file system that is used; never more than an eighth of it.
        pub floor_megabytes: u64 = 1024;
    }
}

section! {
    /// What the packets are turned into.
    pub struct Analysis as "analysis" {
        /// `live` analyses packets as they come. `rotated`, for small machines, only writes them, and analyses each capture
        /// file when it is complete, while there is nothing better to do; needs pcap.enabled.
        /// (Environment: ZEEK_ROTATED_PCAP or SURICATA_ROTATED_PCAP "true": rotated; ZEEK_LIVE_CAPTURE or
        /// SURICATA_LIVE_CAPTURE "true": live, whatever the others say, since there is one analysis for both)
        pub mode: AnalysisMode = AnalysisMode::Live;
        /// Form of the Zeek logs: `json` or `tsv`. Malcolm reads both; json survives a change of columns.
        pub zeek: ZeekFormat = ZeekFormat::Json;
        /// Columns of the Zeek logs: `malcolm` (with community id, VLANs and MAC addresses in conn) or `stock`.
        pub profile: Profile = Profile::Malcolm;
        /// Networks that count as local. None: those that IANA sets apart for special purposes (private, loopback,
        /// link-local and so on), as Zeek takes them by itself.
        pub local_networks: Vec<Network> = Vec::new();
        /// Whether packets with a wrong checksum are left out, as Zeek does. Turn off where the NIC fills them in late.
        pub checksums: bool = true;
        /// Files of Suricata rules. What matches becomes an alert in eve.json, and is forwarded. A rule that asks for what
        /// Tenrec does not know is left out and named in the log.
        pub rules: Vec<PathBuf> = Vec::new();
        /// Seed of the uids: the same packets with the same seed give the same uids. Unset, a new one at every start.
        pub seed: Option<u64> = None, shown as "42";
    }
}

section! {
    /// Captures from elsewhere: files that are put into a folder are analysed once and then moved into its `processed`.
    pub struct Watch as "watch" {
        /// The folder (PCAP and PCAPNG, also compressed); unset for none. Names give tags as at Malcolm's upload:
        /// `plant,line-2,NBSITEID7.pcap` has the tags plant and line (numbers are left out), and the NetBox site 7.
        pub folder: Option<PathBuf> = None, shown as "\"/var/lib/tenrec/watch\"";
    }
}

section! {
    /// Log files of a Zeek or Suricata that is there already: their lines are forwarded like our own. For anything else see
    /// `tenrec forward`.
    pub struct Tail as "tail" {
        /// Patterns of Zeek's log files (`*`, `?`, `[…]`, `**`).
        pub zeek: Vec<String> = Vec::new();
        /// Patterns of Suricata's EVE files.
        pub suricata: Vec<String> = Vec::new();
        /// Regular expressions: lines that match one are left out.
        pub exclude_lines: Vec<String> = vec![r"^\s*#".to_owned()];
        /// Minutes after which a file that has not changed is not begun; 0: all are.
        pub ignore_older_minutes: u64 = 0;
    }
}

section! {
    /// Log files on this disk. What is forwarded does not depend on them.
    pub struct Logs as "logs" {
        /// Whether log files are written.
        pub enabled: bool = true;
        /// Folder of the log files.
        pub folder: PathBuf = PathBuf::from("/var/lib/tenrec/logs");
        /// Minutes after which a log file is set aside and a new one begun, 1 to 10080; 0 never.
        pub rotate_minutes: u64 = 60;
        /// Megabytes that all log files may take, oldest deleted first; 0 leaves it to [disk].
        pub budget_megabytes: u64 = 4096;
    }
}

section! {
    /// Files carved from the traffic.
    pub struct Files as "files" {
        /// Which files: `none`, `known` (MIME type known), `mapped` (MIME type with an extension in the table), `all`,
        /// `interesting` (types that carry attacks) or `notcommtxt` (all but common text).
        /// (Environment: ZEEK_EXTRACTOR_MODE)
        pub carving: CarvingMode = CarvingMode::Interesting;
        /// Bytes after which a carved file is cut, 1 to 4294967296.
        /// (Environment: EXTRACTED_FILE_MAX_BYTES)
        pub max_bytes: u64 = 134_217_728;
        /// Folder of the carved files.
        pub folder: PathBuf = PathBuf::from("/var/lib/tenrec/files");
        /// What stays after the scan: `quarantined` (files with a verdict), `all` or `none`.
        /// (Environment: FILESCAN_PRESERVATION)
        pub preservation: Preservation = Preservation::Quarantined;
        /// Megabytes that all carved files may take, oldest deleted first; 0 leaves it to [disk].
        pub budget_megabytes: u64 = 8192;
    }
}

section! {
    /// The scan of carved files, in a process of its own.
    pub struct Scan as "scan" {
        /// Whether carved files are scanned.
        pub enabled: bool = true;
        /// Folders of YARA rules (`*.yar`, `*.yara`). A broken file is named and left out.
        pub rules: Vec<PathBuf> = vec![PathBuf::from("/usr/share/tenrec/rules"), PathBuf::from("/etc/tenrec/rules")];
        /// Socket of a running clamd; unset for no ClamAV.
        pub clamd: Option<PathBuf> = None, shown as "\"/run/clamav/clamd.ctl\"";
        /// Socket of a scanner that runs as a unit of its own; unset, the daemon starts one as its child.
        pub socket: Option<PathBuf> = None, shown as "\"/run/tenrec-scan/scan.sock\"";
        /// Seconds after which the scan of one file is given up, 1 to 3600.
        pub timeout_seconds: u64 = 30;
        /// Megabytes of memory that the scanner may take, 64 to 65536.
        pub memory_megabytes: u64 = 1024;
        /// Files that wait for the scanner at most, 1 to 65536. Beyond, files stay unscanned and are counted.
        pub queue: usize = 256;
    }
}

section! {
    /// Delivery to a collector that speaks Lumberjack v2 (Logstash's Beats input, Malcolm, `tenrec collector`).
    pub struct Forward as "forward" {
        /// Whether records are forwarded. Off, nothing is spooled either.
        pub enabled: bool = false;
        /// Collectors, `host:port`. The first that answers gets the records; the next takes over when it fails.
        pub hosts: Vec<Host> = Vec::new();
        /// Whether records are spread over all collectors at once; the others take the share of one that fails.
        pub balance: bool = false;
        /// Whether the connection is encrypted.
        pub tls: bool = true;
        /// Versions of TLS that are offered.
        pub tls_versions: Vec<TlsVersion> = vec![TlsVersion::V12, TlsVersion::V13];
        /// Certificate of the CA that signed the collector's certificate, PEM.
        pub ca: Option<PathBuf> = None, shown as "\"/etc/tenrec/certs/ca.crt\"";
        /// This sensor's own certificate, PEM, where the collector wants one.
        pub certificate: Option<PathBuf> = None, shown as "\"/etc/tenrec/certs/client.crt\"";
        /// Private key of that certificate, PEM.
        pub key: Option<PathBuf> = None, shown as "\"/etc/tenrec/certs/client.key\"";
        /// How the collector's certificate is checked: `full` (signed by the CA and naming the host), `chain` (signed by
        /// the CA; Malcolm's server certificate has no name to check) or `none` (whoever answers gets the records).
        pub verify: Verify = Verify::Chain;
        /// Level of zlib compression on the wire, 0 (none) to 9.
        pub compression: u32 = 3;
        /// Records in a window at most, 1 to 2048.
        pub window: usize = 2048;
    }
}

section! {
    /// Delivery of Arkime's sessions, and of what Arkime wants to know about its sensors, to OpenSearch (Malcolm's port
    /// 9200, `tenrec collector`). Needs a collector that Arkime has set up: a sensor makes no templates.
    pub struct OpenSearch as "opensearch" {
        /// Whether sessions are delivered. Off, none are spooled either.
        pub enabled: bool = false;
        /// Collectors: `https://host:9200`, also with a path (`https://malcolm/mapi/opensearch`); `host:port` means https,
        /// no port 9200. All that answer share the work; one that fails is left out until it answers again.
        /// (Environment: OPENSEARCH_URL, separated by commas)
        pub hosts: Vec<Url> = Vec::new();
        /// Certificate of the CA that signed the collector's certificate, PEM.
        pub ca: Option<PathBuf> = None, shown as "\"/etc/tenrec/certs/ca.crt\"";
        /// This sensor's own certificate, PEM, where the collector wants one.
        pub certificate: Option<PathBuf> = None, shown as "\"/etc/tenrec/certs/client.crt\"";
        /// Private key of that certificate, PEM.
        pub key: Option<PathBuf> = None, shown as "\"/etc/tenrec/certs/client.key\"";
        /// How the collector's certificate is checked: `full` (signed by the CA and naming the host), `chain` (signed by
        /// the CA; Malcolm's server certificate has no name to check) or `none` (whoever answers gets the sessions).
        pub verify: Verify = Verify::Chain;
        /// User for HTTP Basic; empty for none.
        pub user: String = String::new();
        /// Password of that user. It is never shown; better kept in a file of its own.
        pub password: Secret = Secret::default();
        /// File with the password alone, or Malcolm's `.opensearch.primary.curlrc` (`user: "name:password"`).
        /// (Environment: OPENSEARCH_CREDS_CONFIG_FILE)
        pub password_file: Option<PathBuf> = None, shown as "\"/etc/tenrec/opensearch.curlrc\"";
        /// Level of gzip compression on the wire, 0 (none) to 9.
        pub compression: u32 = 3;
        /// Bytes of documents in one request, 10000 to 48000000: Malcolm's proxy refuses 50 MB.
        pub bulk_bytes: usize = 4_000_000;
    }
}

section! {
    /// How the machine and the capture are, for the collector's dashboards.
    pub struct Metrics as "metrics" {
        /// Whether processor, memory, disks, network and temperatures are forwarded, as a Malcolm sensor does it.
        pub enabled: bool = true;
        /// Seconds between two of them, 1 to 86400.
        pub seconds: u64 = 30;
        /// Seconds between two temperatures, 1 to 86400.
        pub thermal_seconds: u64 = 10;
        /// Seconds between two lines of Zeek's stats.log, 1 to 86400; 0 for none.
        pub stats_seconds: u64 = 300;
        /// Seconds between two lines of Zeek's capture_loss.log, 1 to 86400; 0 for none.
        pub capture_loss_seconds: u64 = 900;
    }
}

section! {
    /// Records that wait for the collector, on disk.
    pub struct Spool as "spool" {
        /// Folder of the spool.
        pub folder: PathBuf = PathBuf::from("/var/lib/tenrec/spool");
        /// Megabytes that waiting records may take, 16 to 16777216. Beyond, the oldest go, and are counted.
        pub budget_megabytes: u64 = 8192;
    }
}

section! {
    /// The socket over which `tenrec status` and the web UI ask the daemon.
    pub struct Control as "control" {
        /// Path of the socket.
        pub socket: PathBuf = PathBuf::from("/run/tenrec/control.sock");
    }
}

section! {
    /// The web UI (`tenrec-web`).
    pub struct Web as "web" {
        /// Address and port it listens on. Beyond this machine it wants a certificate and a password.
        pub listen: std::net::SocketAddr = std::net::SocketAddr::from(([127, 0, 0, 1], 8080));
        /// Certificate chain of HTTPS (PEM); unset serves HTTP, on a loopback address alone.
        pub certificate: Option<PathBuf> = None, shown as "\"/etc/tenrec/web.crt\"";
        /// Its private key.
        pub key: Option<PathBuf> = None, shown as "\"/etc/tenrec/web.key\"";
        /// File with the hash of the administrator's password (argon2id; `tenrec-web password` writes one). While it is
        /// missing nobody can log in.
        pub password_file: PathBuf = PathBuf::from("/etc/tenrec/web.password");
        /// Names, beside its addresses and the machine's own name, by which browsers may ask for it.
        pub names: Vec<String> = Vec::new();
    }
}

section! {
    /// The appliance under the sensor: heeded where Tenrec was installed from its image, and nowhere else.
    pub struct System as "system" {
        /// Name of the machine; empty takes `tenrec-` with the end of the management interface's MAC address.
        pub host_name: String = String::new();
        /// Interface by which the web UI is reached and records leave, by name or MAC address; empty takes the first wired
        /// one with a link. It is never captured from.
        pub management: String = String::new();
        /// Its address: `dhcp`, or an address with prefix length such as `192.0.2.7/24`. Without an answer to DHCP it has a
        /// link-local one (169.254.0.0/16).
        pub address: InterfaceAddress = InterfaceAddress::Dhcp;
        /// Default gateway, with a fixed address; unset for none.
        pub gateway: Option<std::net::IpAddr> = None, shown as "\"192.0.2.1\"";
        /// Name servers; none takes those that DHCP names.
        pub name_servers: Vec<std::net::IpAddr> = Vec::new();
        /// Time servers, by name or address; none takes those that DHCP names.
        pub time_servers: Vec<String> = Vec::new();
        /// Whether SSH is offered on the management interface, to the keys below and to no password.
        pub ssh: bool = false;
        /// Public keys of who may log in as `tenrec-admin`, one line of OpenSSH each.
        pub ssh_keys: Vec<String> = Vec::new();
        /// Address (https) of a list of update bundles, a `latest.json`; unset asks for none.
        pub update_url: Option<String> = None, shown as "\"https://updates.example.org/tenrec/\"";
        /// Certificate of the CA of that address (PEM); unset trusts the system's.
        pub update_ca: Option<PathBuf> = None, shown as "\"/etc/tenrec/certs/updates.crt\"";
        /// Minisign public keys of updates, beside the one that is built in.
        pub update_keys: Vec<String> = Vec::new();
    }
}

section! {
    /// Packets for Arkime's central viewer and for the web UI (`tenrec viewer`).
    pub struct Viewer as "viewer" {
        /// Address and port of HTTPS: the central viewer asks on port 8005.
        pub listen: std::net::SocketAddr = std::net::SocketAddr::from(([0, 0, 0, 0], 8005));
        /// Secret shared with the central viewer: Arkime's passwordSecret. Without one nothing is served over the network.
        /// It is never shown; better kept in a file of its own.
        /// (Environment: ARKIME_PASSWORD_SECRET)
        pub secret: Secret = Secret::default();
        /// File with the secret alone.
        pub secret_file: Option<PathBuf> = None, shown as "\"/etc/tenrec/viewer.secret\"";
        /// Folder of its certificates (`ca.crt`, `server.crt`, `server.key`), made at the first start where missing.
        pub certificates: PathBuf = PathBuf::from("/var/lib/tenrec-viewer/certs");
        /// Socket over which the web UI asks for packets, without a secret: for whom its mode and folder let in.
        pub socket: PathBuf = PathBuf::from("/run/tenrec-viewer/viewer.sock");
    }
}

section! {
    /// The embedded collector (`tenrec collector`), for demonstrations and small sites.
    pub struct Collector as "collector" {
        /// Address and port it listens on.
        pub listen: std::net::SocketAddr = std::net::SocketAddr::from(([0, 0, 0, 0], 5044));
        /// Folder of what it receives: one file of JSON lines per log.
        pub folder: PathBuf = PathBuf::from("/var/lib/tenrec/collector");
        /// Folder of its certificates (`ca.crt`, `server.crt`, `server.key`), made at the first start where missing.
        pub certificates: PathBuf = PathBuf::from("/var/lib/tenrec/collector/certs");
        /// Client certificates: `none`, `optional` (checked when sent, as Malcolm does) or `required`.
        pub client_certificates: ClientCertificates = ClientCertificates::Optional;
        /// Address and port of its OpenSearch side, which takes Arkime's sessions; unset, there is none.
        pub opensearch_listen: Option<std::net::SocketAddr> = None, shown as "\"0.0.0.0:9200\"";
        /// User that the OpenSearch side asks for; empty, it asks for none.
        pub opensearch_user: String = String::new();
        /// Password of that user. It is never shown.
        pub opensearch_password: Secret = Secret::default();
    }
}
