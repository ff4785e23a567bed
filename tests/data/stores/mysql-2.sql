/*M!999999\- enable the sandbox mode */ 

/*!40101 SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT */;
/*!40101 SET @OLD_CHARACTER_SET_RESULTS=@@CHARACTER_SET_RESULTS */;
/*!40101 SET @OLD_COLLATION_CONNECTION=@@COLLATION_CONNECTION */;
/*!40101 SET NAMES utf8mb4 */;
/*!40103 SET @OLD_TIME_ZONE=@@TIME_ZONE */;
/*!40103 SET TIME_ZONE='+00:00' */;
/*!40014 SET @OLD_UNIQUE_CHECKS=@@UNIQUE_CHECKS, UNIQUE_CHECKS=0 */;
/*!40014 SET @OLD_FOREIGN_KEY_CHECKS=@@FOREIGN_KEY_CHECKS, FOREIGN_KEY_CHECKS=0 */;
/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */;
/*!40111 SET @OLD_SQL_NOTES=@@SQL_NOTES, SQL_NOTES=0 */;
DROP TABLE IF EXISTS `api_keys`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `api_keys` (
  `id` bigint(20) unsigned NOT NULL AUTO_INCREMENT,
  `public_id` varchar(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `name` varchar(255) NOT NULL,
  `key` varchar(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `scopes` varchar(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `rate_limit` int(10) unsigned NOT NULL DEFAULT 1000,
  `created_at` timestamp NULL DEFAULT NULL,
  `updated_at` timestamp NULL DEFAULT NULL,
  `revoked_at` timestamp NULL DEFAULT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `unique_public_id` (`public_id`),
  UNIQUE KEY `unique_key` (`key`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `api_keys` WRITE;
/*!40000 ALTER TABLE `api_keys` DISABLE KEYS */;
/*!40000 ALTER TABLE `api_keys` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `deleted_metrics`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `deleted_metrics` (
  `id` bigint(20) unsigned NOT NULL,
  `name` varchar(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `deleted_at` timestamp NOT NULL DEFAULT current_timestamp(),
  PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `deleted_metrics` WRITE;
/*!40000 ALTER TABLE `deleted_metrics` DISABLE KEYS */;
/*!40000 ALTER TABLE `deleted_metrics` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `locks`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `locks` (
  `name` varchar(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  PRIMARY KEY (`name`)
) ENGINE=InnoDB DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `locks` WRITE;
/*!40000 ALTER TABLE `locks` DISABLE KEYS */;
INSERT INTO `locks` VALUES
('names');
/*!40000 ALTER TABLE `locks` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `metric_points`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `metric_points` (
  `metric_id` bigint(20) unsigned NOT NULL,
  `recorded_at` timestamp NOT NULL,
  `id` bigint(20) unsigned NOT NULL,
  `value` decimal(20,4) NOT NULL,
  `samples` decimal(20,4) DEFAULT NULL,
  `min_value` decimal(20,4) DEFAULT NULL,
  `max_value` decimal(20,4) DEFAULT NULL,
  `created_at` timestamp NULL DEFAULT current_timestamp(),
  PRIMARY KEY (`metric_id`,`recorded_at`,`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci
 PARTITION BY RANGE (unix_timestamp(`recorded_at`))
(PARTITION `p19700101` VALUES LESS THAN (86400) ENGINE = InnoDB,
 PARTITION `p20260207` VALUES LESS THAN (1770508800) ENGINE = InnoDB,
 PARTITION `p20260208` VALUES LESS THAN (1770595200) ENGINE = InnoDB,
 PARTITION `p20260209` VALUES LESS THAN (1770681600) ENGINE = InnoDB,
 PARTITION `p20260210` VALUES LESS THAN (1770768000) ENGINE = InnoDB,
 PARTITION `p20260211` VALUES LESS THAN (1770854400) ENGINE = InnoDB,
 PARTITION `p20260212` VALUES LESS THAN (1770940800) ENGINE = InnoDB,
 PARTITION `p20260213` VALUES LESS THAN (1771027200) ENGINE = InnoDB,
 PARTITION `p20260214` VALUES LESS THAN (1771113600) ENGINE = InnoDB,
 PARTITION `p20260215` VALUES LESS THAN (1771200000) ENGINE = InnoDB,
 PARTITION `p20260216` VALUES LESS THAN (1771286400) ENGINE = InnoDB,
 PARTITION `p20260217` VALUES LESS THAN (1771372800) ENGINE = InnoDB,
 PARTITION `p20260218` VALUES LESS THAN (1771459200) ENGINE = InnoDB,
 PARTITION `p20260219` VALUES LESS THAN (1771545600) ENGINE = InnoDB,
 PARTITION `p20260220` VALUES LESS THAN (1771632000) ENGINE = InnoDB,
 PARTITION `p20260221` VALUES LESS THAN (1771718400) ENGINE = InnoDB,
 PARTITION `p20260222` VALUES LESS THAN (1771804800) ENGINE = InnoDB);
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `metric_points` WRITE;
/*!40000 ALTER TABLE `metric_points` DISABLE KEYS */;
INSERT INTO `metric_points` VALUES
(2,'2026-02-12 00:00:00',3725518901160706048,5.0000,NULL,NULL,NULL,'2026-11-26 19:17:45'),
(2,'2026-02-12 00:01:01',3725518901160706049,7.0000,NULL,NULL,NULL,'2026-11-26 19:17:45'),
(2,'2026-02-12 00:01:02',3725518901160706050,-3.0000,NULL,NULL,NULL,'2026-11-26 19:17:45'),
(1,'2026-02-14 23:00:00',3761688987579711488,12.0000,NULL,NULL,NULL,'2026-11-26 19:17:45'),
(2,'2026-02-14 23:00:00',3725518901160706051,60.0000,3.0000,10.0000,30.0000,'2026-11-26 19:17:45'),
(2,'2026-02-14 23:59:00',3761688987579711489,9.0000,NULL,NULL,NULL,'2026-11-26 19:17:45');
/*!40000 ALTER TABLE `metric_points` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `metrics`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `metrics` (
  `id` bigint(20) unsigned NOT NULL AUTO_INCREMENT,
  `name` varchar(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `type` enum('counter','value') NOT NULL,
  `created_by` bigint(20) unsigned NOT NULL,
  `created_at` timestamp NULL DEFAULT NULL,
  `updated_at` timestamp NULL DEFAULT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `unique_name` (`name`)
) ENGINE=InnoDB AUTO_INCREMENT=3 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `metrics` WRITE;
/*!40000 ALTER TABLE `metrics` DISABLE KEYS */;
INSERT INTO `metrics` VALUES
(1,'old.counter','counter',1,'2026-02-15 00:00:00','2026-02-15 00:00:00'),
(2,'old.value','value',1,'2026-02-15 00:00:00','2026-02-15 00:00:00');
/*!40000 ALTER TABLE `metrics` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `metrics_by_hour`;
/*!50001 DROP VIEW IF EXISTS `metrics_by_hour`*/;
SET @saved_cs_client     = @@character_set_client;
SET character_set_client = utf8mb4;
/*!50001 CREATE VIEW `metrics_by_hour` AS SELECT
 NULL AS `name`,
 NULL AS `type`,
 NULL AS `hour`,
 NULL AS `count`,
 NULL AS `sum`,
 NULL AS `min`,
 NULL AS `max` */;
SET character_set_client = @saved_cs_client;
DROP TABLE IF EXISTS `metrics_by_minute`;
/*!50001 DROP VIEW IF EXISTS `metrics_by_minute`*/;
SET @saved_cs_client     = @@character_set_client;
SET character_set_client = utf8mb4;
/*!50001 CREATE VIEW `metrics_by_minute` AS SELECT
 NULL AS `name`,
 NULL AS `type`,
 NULL AS `minute`,
 NULL AS `count`,
 NULL AS `sum`,
 NULL AS `min`,
 NULL AS `max` */;
SET character_set_client = @saved_cs_client;
DROP TABLE IF EXISTS `migrations`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `migrations` (
  `name` varchar(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `checksum` char(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `applied_at` timestamp NOT NULL,
  PRIMARY KEY (`name`)
) ENGINE=InnoDB DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `migrations` WRITE;
/*!40000 ALTER TABLE `migrations` DISABLE KEYS */;
INSERT INTO `migrations` VALUES
('0001_initial','c9505dda3e44fa975c878dbb35766b15e95f3d20acc6b75ca06c36725334ee5c','2026-02-15 00:00:00'),
('0002_retention','7df4b577013b1416d7da4c2712a67369182a29bcbf21650b133c9120a9389cf1','2026-02-15 00:00:00');
/*!40000 ALTER TABLE `migrations` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `name_changes`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `name_changes` (
  `id` tinyint(3) unsigned NOT NULL,
  `version` bigint(20) unsigned NOT NULL,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `name_changes` WRITE;
/*!40000 ALTER TABLE `name_changes` DISABLE KEYS */;
INSERT INTO `name_changes` VALUES
(1,1);
/*!40000 ALTER TABLE `name_changes` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `name_counts`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `name_counts` (
  `created_by` bigint(20) unsigned NOT NULL,
  `names` bigint(20) NOT NULL,
  PRIMARY KEY (`created_by`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `name_counts` WRITE;
/*!40000 ALTER TABLE `name_counts` DISABLE KEYS */;
INSERT INTO `name_counts` VALUES
(1,2);
/*!40000 ALTER TABLE `name_counts` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `rejected_points`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `rejected_points` (
  `id` bigint(20) unsigned NOT NULL AUTO_INCREMENT,
  `name` varchar(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `type` enum('counter','value') NOT NULL,
  `recorded_at` timestamp NOT NULL,
  `value` decimal(20,4) NOT NULL,
  `samples` decimal(20,4) DEFAULT NULL,
  `min_value` decimal(20,4) DEFAULT NULL,
  `max_value` decimal(20,4) DEFAULT NULL,
  `reason` varchar(64) NOT NULL,
  `rejected_at` timestamp NOT NULL DEFAULT current_timestamp(),
  PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `rejected_points` WRITE;
/*!40000 ALTER TABLE `rejected_points` DISABLE KEYS */;
/*!40000 ALTER TABLE `rejected_points` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `request_ids`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `request_ids` (
  `id` binary(16) NOT NULL,
  `day` date NOT NULL,
  `fingerprint` binary(16) NOT NULL,
  `answer` longblob DEFAULT NULL,
  PRIMARY KEY (`id`,`day`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci
 PARTITION BY RANGE  COLUMNS(`day`)
(PARTITION `p20260207` VALUES LESS THAN ('2026-02-08') ENGINE = InnoDB,
 PARTITION `p20260208` VALUES LESS THAN ('2026-02-09') ENGINE = InnoDB,
 PARTITION `p20260209` VALUES LESS THAN ('2026-02-10') ENGINE = InnoDB,
 PARTITION `p20260210` VALUES LESS THAN ('2026-02-11') ENGINE = InnoDB,
 PARTITION `p20260211` VALUES LESS THAN ('2026-02-12') ENGINE = InnoDB,
 PARTITION `p20260212` VALUES LESS THAN ('2026-02-13') ENGINE = InnoDB,
 PARTITION `p20260213` VALUES LESS THAN ('2026-02-14') ENGINE = InnoDB,
 PARTITION `p20260214` VALUES LESS THAN ('2026-02-15') ENGINE = InnoDB,
 PARTITION `p20260215` VALUES LESS THAN ('2026-02-16') ENGINE = InnoDB,
 PARTITION `p20260216` VALUES LESS THAN ('2026-02-17') ENGINE = InnoDB,
 PARTITION `p20260217` VALUES LESS THAN ('2026-02-18') ENGINE = InnoDB,
 PARTITION `p20260218` VALUES LESS THAN ('2026-02-19') ENGINE = InnoDB,
 PARTITION `p20260219` VALUES LESS THAN ('2026-02-20') ENGINE = InnoDB,
 PARTITION `p20260220` VALUES LESS THAN ('2026-02-21') ENGINE = InnoDB,
 PARTITION `p20260221` VALUES LESS THAN ('2026-02-22') ENGINE = InnoDB,
 PARTITION `p20260222` VALUES LESS THAN ('2026-02-23') ENGINE = InnoDB);
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `request_ids` WRITE;
/*!40000 ALTER TABLE `request_ids` DISABLE KEYS */;
INSERT INTO `request_ids` VALUES
('gggggggggggggggg','2026-02-15','\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0',NULL),
('hhhhhhhhhhhhhhhh','2026-02-15','\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0',NULL),
('iiiiiiiiiiiiiiii','2026-02-15','ffffffffffffffff',NULL);
/*!40000 ALTER TABLE `request_ids` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `retention`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `retention` (
  `id` tinyint(3) unsigned NOT NULL,
  `version` bigint(20) NOT NULL,
  `line` bigint(20) NOT NULL,
  `dropped` bigint(20) NOT NULL,
  `held_until` bigint(20) NOT NULL,
  `last_run` bigint(20) NOT NULL,
  `lease_owner` varchar(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `lease_until` bigint(20) NOT NULL,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `retention` WRITE;
/*!40000 ALTER TABLE `retention` DISABLE KEYS */;
INSERT INTO `retention` VALUES
(1,0,0,0,0,0,'',0);
/*!40000 ALTER TABLE `retention` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `retention_log`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `retention_log` (
  `id` bigint(20) unsigned NOT NULL AUTO_INCREMENT,
  `done_at` bigint(20) NOT NULL,
  `action` enum('hide','restore','drop') NOT NULL,
  `line` bigint(20) NOT NULL,
  `actor` varchar(64) NOT NULL,
  `removed_rows` bigint(20) NOT NULL,
  `removed_parts` bigint(20) NOT NULL,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `retention_log` WRITE;
/*!40000 ALTER TABLE `retention_log` DISABLE KEYS */;
/*!40000 ALTER TABLE `retention_log` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `rollup_hour`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `rollup_hour` (
  `metric_id` bigint(20) unsigned NOT NULL,
  `bucket` datetime NOT NULL,
  `samples` decimal(38,4) NOT NULL,
  `total` decimal(38,4) NOT NULL,
  `min_value` decimal(20,4) NOT NULL,
  `max_value` decimal(20,4) NOT NULL,
  PRIMARY KEY (`metric_id`,`bucket`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci
 PARTITION BY RANGE  COLUMNS(`bucket`)
(PARTITION `p19700101` VALUES LESS THAN ('1970-01-02') ENGINE = InnoDB,
 PARTITION `p20260207` VALUES LESS THAN ('2026-02-08') ENGINE = InnoDB,
 PARTITION `p20260208` VALUES LESS THAN ('2026-02-09') ENGINE = InnoDB,
 PARTITION `p20260209` VALUES LESS THAN ('2026-02-10') ENGINE = InnoDB,
 PARTITION `p20260210` VALUES LESS THAN ('2026-02-11') ENGINE = InnoDB,
 PARTITION `p20260211` VALUES LESS THAN ('2026-02-12') ENGINE = InnoDB,
 PARTITION `p20260212` VALUES LESS THAN ('2026-02-13') ENGINE = InnoDB,
 PARTITION `p20260213` VALUES LESS THAN ('2026-02-14') ENGINE = InnoDB,
 PARTITION `p20260214` VALUES LESS THAN ('2026-02-15') ENGINE = InnoDB,
 PARTITION `p20260215` VALUES LESS THAN ('2026-02-16') ENGINE = InnoDB,
 PARTITION `p20260216` VALUES LESS THAN ('2026-02-17') ENGINE = InnoDB,
 PARTITION `p20260217` VALUES LESS THAN ('2026-02-18') ENGINE = InnoDB,
 PARTITION `p20260218` VALUES LESS THAN ('2026-02-19') ENGINE = InnoDB,
 PARTITION `p20260219` VALUES LESS THAN ('2026-02-20') ENGINE = InnoDB,
 PARTITION `p20260220` VALUES LESS THAN ('2026-02-21') ENGINE = InnoDB,
 PARTITION `p20260221` VALUES LESS THAN ('2026-02-22') ENGINE = InnoDB,
 PARTITION `p20260222` VALUES LESS THAN ('2026-02-23') ENGINE = InnoDB);
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `rollup_hour` WRITE;
/*!40000 ALTER TABLE `rollup_hour` DISABLE KEYS */;
INSERT INTO `rollup_hour` VALUES
(2,'2026-02-12 00:00:00',3.0000,9.0000,-3.0000,7.0000),
(1,'2026-02-14 23:00:00',1.0000,12.0000,12.0000,12.0000),
(2,'2026-02-14 23:00:00',4.0000,69.0000,9.0000,30.0000);
/*!40000 ALTER TABLE `rollup_hour` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `rollup_minute`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `rollup_minute` (
  `metric_id` bigint(20) unsigned NOT NULL,
  `bucket` datetime NOT NULL,
  `samples` decimal(38,4) NOT NULL,
  `total` decimal(38,4) NOT NULL,
  `min_value` decimal(20,4) NOT NULL,
  `max_value` decimal(20,4) NOT NULL,
  PRIMARY KEY (`metric_id`,`bucket`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci
 PARTITION BY RANGE  COLUMNS(`bucket`)
(PARTITION `p19700101` VALUES LESS THAN ('1970-01-02') ENGINE = InnoDB,
 PARTITION `p20260207` VALUES LESS THAN ('2026-02-08') ENGINE = InnoDB,
 PARTITION `p20260208` VALUES LESS THAN ('2026-02-09') ENGINE = InnoDB,
 PARTITION `p20260209` VALUES LESS THAN ('2026-02-10') ENGINE = InnoDB,
 PARTITION `p20260210` VALUES LESS THAN ('2026-02-11') ENGINE = InnoDB,
 PARTITION `p20260211` VALUES LESS THAN ('2026-02-12') ENGINE = InnoDB,
 PARTITION `p20260212` VALUES LESS THAN ('2026-02-13') ENGINE = InnoDB,
 PARTITION `p20260213` VALUES LESS THAN ('2026-02-14') ENGINE = InnoDB,
 PARTITION `p20260214` VALUES LESS THAN ('2026-02-15') ENGINE = InnoDB,
 PARTITION `p20260215` VALUES LESS THAN ('2026-02-16') ENGINE = InnoDB,
 PARTITION `p20260216` VALUES LESS THAN ('2026-02-17') ENGINE = InnoDB,
 PARTITION `p20260217` VALUES LESS THAN ('2026-02-18') ENGINE = InnoDB,
 PARTITION `p20260218` VALUES LESS THAN ('2026-02-19') ENGINE = InnoDB,
 PARTITION `p20260219` VALUES LESS THAN ('2026-02-20') ENGINE = InnoDB,
 PARTITION `p20260220` VALUES LESS THAN ('2026-02-21') ENGINE = InnoDB,
 PARTITION `p20260221` VALUES LESS THAN ('2026-02-22') ENGINE = InnoDB,
 PARTITION `p20260222` VALUES LESS THAN ('2026-02-23') ENGINE = InnoDB);
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `rollup_minute` WRITE;
/*!40000 ALTER TABLE `rollup_minute` DISABLE KEYS */;
INSERT INTO `rollup_minute` VALUES
(2,'2026-02-12 00:00:00',1.0000,5.0000,5.0000,5.0000),
(2,'2026-02-12 00:01:00',2.0000,4.0000,-3.0000,7.0000),
(1,'2026-02-14 23:00:00',1.0000,12.0000,12.0000,12.0000),
(2,'2026-02-14 23:00:00',3.0000,60.0000,10.0000,30.0000),
(2,'2026-02-14 23:59:00',1.0000,9.0000,9.0000,9.0000);
/*!40000 ALTER TABLE `rollup_minute` ENABLE KEYS */;
UNLOCK TABLES;
/*!50001 DROP VIEW IF EXISTS `metrics_by_hour`*/;
/*!50001 SET @saved_cs_client          = @@character_set_client */;
/*!50001 SET @saved_cs_results         = @@character_set_results */;
/*!50001 SET @saved_col_connection     = @@collation_connection */;
/*!50001 SET character_set_client      = utf8mb4 */;
/*!50001 SET character_set_results     = utf8mb4 */;
/*!50001 SET collation_connection      = utf8mb4_general_ci */;
/*!50001 CREATE ALGORITHM=UNDEFINED */
/*!50013 DEFINER=`root`@`127.0.0.1` SQL SECURITY DEFINER */
/*!50001 VIEW `metrics_by_hour` AS select `metrics`.`name` AS `name`,`metrics`.`type` AS `type`,`rollup_hour`.`bucket` AS `hour`,`rollup_hour`.`samples` AS `count`,`rollup_hour`.`total` AS `sum`,`rollup_hour`.`min_value` AS `min`,`rollup_hour`.`max_value` AS `max` from (`metrics` join `rollup_hour` on(`rollup_hour`.`metric_id` = `metrics`.`id`)) */;
/*!50001 SET character_set_client      = @saved_cs_client */;
/*!50001 SET character_set_results     = @saved_cs_results */;
/*!50001 SET collation_connection      = @saved_col_connection */;
/*!50001 DROP VIEW IF EXISTS `metrics_by_minute`*/;
/*!50001 SET @saved_cs_client          = @@character_set_client */;
/*!50001 SET @saved_cs_results         = @@character_set_results */;
/*!50001 SET @saved_col_connection     = @@collation_connection */;
/*!50001 SET character_set_client      = utf8mb4 */;
/*!50001 SET character_set_results     = utf8mb4 */;
/*!50001 SET collation_connection      = utf8mb4_general_ci */;
/*!50001 CREATE ALGORITHM=UNDEFINED */
/*!50013 DEFINER=`root`@`127.0.0.1` SQL SECURITY DEFINER */
/*!50001 VIEW `metrics_by_minute` AS select `metrics`.`name` AS `name`,`metrics`.`type` AS `type`,`rollup_minute`.`bucket` AS `minute`,`rollup_minute`.`samples` AS `count`,`rollup_minute`.`total` AS `sum`,`rollup_minute`.`min_value` AS `min`,`rollup_minute`.`max_value` AS `max` from (`metrics` join `rollup_minute` on(`rollup_minute`.`metric_id` = `metrics`.`id`)) */;
/*!50001 SET character_set_client      = @saved_cs_client */;
/*!50001 SET character_set_results     = @saved_cs_results */;
/*!50001 SET collation_connection      = @saved_col_connection */;
/*!40103 SET TIME_ZONE=@OLD_TIME_ZONE */;

/*!40101 SET SQL_MODE=@OLD_SQL_MODE */;
/*!40014 SET FOREIGN_KEY_CHECKS=@OLD_FOREIGN_KEY_CHECKS */;
/*!40014 SET UNIQUE_CHECKS=@OLD_UNIQUE_CHECKS */;
/*!40101 SET CHARACTER_SET_CLIENT=@OLD_CHARACTER_SET_CLIENT */;
/*!40101 SET CHARACTER_SET_RESULTS=@OLD_CHARACTER_SET_RESULTS */;
/*!40101 SET COLLATION_CONNECTION=@OLD_COLLATION_CONNECTION */;
/*!40111 SET SQL_NOTES=@OLD_SQL_NOTES */;

